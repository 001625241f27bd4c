//! The program: config, run folder, stages, report, command line. The only crate that sees both the
//! language leg (chats, text) and the number leg (models, training).

pub mod answers;
pub mod assets;
pub mod bench;
pub mod cli;
pub mod commands;
pub mod config;
pub mod deep;
pub mod demo;
pub mod detectors;
pub mod doctor;
pub mod experiment;
pub mod explore;
pub mod files;
pub mod forget;
pub mod guided;
pub mod http;
pub mod interrupt;
pub mod iterate;
pub mod judge;
pub mod machine;
pub mod memory;
pub mod method;
pub mod policy;
pub mod privacy;
pub mod profile;
pub mod report;
pub mod review;
pub mod run_folder;
pub mod satisfied;
pub mod seeds;
pub mod simulated;
pub mod stages;
pub mod talk;
pub mod tensorboard;
pub mod tokens;
