//! The run folder: one folder a stage, each with plain files and a `manifest.json` written last.
//!
//! A stage whose manifest still matches its inputs, its part of the config and its files is
//! skipped. That one rule is resume, cache and provenance.

use crate::files;
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Marks the folder of a stage that was begun and not finished.
const UNFINISHED: &str = ".unfinished";

/// A file that would be written over.
pub fn not_ours(path: &Path) -> anyhow::Error {
    anyhow!(
        "{}: there already, and not of an earlier call, expected nothing of this name; hint: take another --out",
        path.display()
    )
}

/// What went into a stage and what came of it. `in` = `out` + the sum of `dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub r#in: usize,
    pub out: usize,
    /// By reason.
    pub dropped: BTreeMap<String, usize>,
    /// What happened to records that were kept: shortened prompts, near copies replaced …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub noted: BTreeMap<String, usize>,
}

impl Counts {
    pub fn drop(&mut self, reason: &str) {
        *self.dropped.entry(reason.to_string()).or_default() += 1;
    }

    pub fn note(&mut self, what: &str) {
        *self.noted.entry(what.to_string()).or_default() += 1;
    }
}

impl std::fmt::Display for Counts {
    /// `18 of 24 (dropped: 4 refusal, 2 empty; 3 near_copy)`
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} of {}", self.out, self.r#in)?;
        let list = |map: &BTreeMap<String, usize>| {
            map.iter().map(|(what, n)| format!("{n} {}", what.replace('_', " "))).collect::<Vec<_>>().join(", ")
        };
        match (self.dropped.is_empty(), self.noted.is_empty()) {
            (true, true) => Ok(()),
            (false, true) => write!(f, " (dropped: {})", list(&self.dropped)),
            (true, false) => write!(f, " ({})", list(&self.noted)),
            (false, false) => write!(f, " (dropped: {}; {})", list(&self.dropped), list(&self.noted)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub stage: String,
    /// Version of drift that wrote it.
    pub version: String,
    pub complete: bool,
    /// The part of the config that this stage depends on, and its blake3.
    pub config: serde_json::Value,
    pub config_hash: String,
    /// blake3 of every input by name.
    pub inputs: BTreeMap<String, String>,
    /// blake3 of every file of the stage's folder that later stages read.
    pub outputs: BTreeMap<String, String>,
    pub counts: Counts,
}

/// The run that a stage's folder is part of; a folder by itself is its own.
pub fn run_root(stage: &Path) -> PathBuf {
    let around = stage.ancestors().skip(1).find(|folder| folder.join("run.json").is_file());
    around.unwrap_or(stage).to_path_buf()
}

/// A run folder that this process alone works in.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// Held, and so locked, as long as the folder is; the system frees it when the process dies.
    _lock: fs_err::File,
}

impl RunFolder {
    pub fn open(root: &Path) -> Result<RunFolder> {
        std::fs::create_dir_all(root).map_err(|error| {
            anyhow!("{}: {error}, expected a folder, there or to be made; hint: take another", root.display())
        })?;
        let path = root.join(".lock");
        let mut lock = fs_err::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        match lock.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs_err::read_to_string(&path).unwrap_or_default();
                bail!(
                    "{}: in use by process {}, expected no other run; hint: wait for it, or take another folder",
                    root.display(),
                    owner.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{}: cannot be locked", path.display()));
            }
        }
        lock.file().set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(RunFolder { root: root.to_path_buf(), _lock: lock })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The stage in the folder `at` (e.g. `iter-1/sample`), as it would be with this config and these inputs.
    pub fn stage(&self, at: &str, config: serde_json::Value, inputs: &[(&str, &str)]) -> Stage {
        Stage::new(self.root.join(at), at, config, inputs)
    }
}

/// One stage about to run, or found finished.
#[derive(Clone, Debug)]
pub struct Stage {
    pub dir: PathBuf,
    name: String,
    config: serde_json::Value,
    inputs: BTreeMap<String, String>,
}

impl Stage {
    /// A stage in a folder of its own, for the commands that run one stage without a run folder.
    pub fn new(dir: PathBuf, name: &str, config: serde_json::Value, inputs: &[(&str, &str)]) -> Stage {
        let inputs = inputs.iter().map(|(name, hash)| (name.to_string(), hash.to_string())).collect();
        Stage { dir, name: name.to_string(), config, inputs }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Name, config and inputs in one hash: unfinished work is only gone on with under the same key.
    pub fn key(&self) -> String {
        let text = serde_json::to_vec(&(&self.name, &self.config, &self.inputs)).expect("maps of strings serialise");
        blake3::hash(&text).to_hex().to_string()
    }

    /// Makes the folder ready for work. `unfinished` are the files that hold work in progress: they stay
    /// if an earlier call left them under the same config and inputs, and are thrown away if not.
    pub fn begin(&self, unfinished: &[&str]) -> Result<()> {
        fs_err::create_dir_all(&self.dir)?;
        for entry in fs_err::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // What a killed process was writing.
            if drift_chat::is_temporary(&name) || (name.starts_with('.') && name.ends_with(files::TEMPORARY)) {
                fs_err::remove_file(&path)?;
            }
        }
        let marker = self.path(UNFINISHED);
        let key = self.key();
        if fs_err::read_to_string(&marker).is_ok_and(|found| found == key) {
            return Ok(());
        }
        for file in unfinished.iter().chain(&["manifest.json"]) {
            match fs_err::remove_file(self.path(file)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        files::write(&marker, |out| out.write_all(key.as_bytes()))
    }

    /// Whether a stage has worked in this folder: it is finished, or was begun.
    pub fn was_in(dir: &Path) -> bool {
        dir.join(UNFINISHED).exists() || files::read_json::<Manifest>(&dir.join("manifest.json")).is_ok()
    }

    /// The manifest, if the stage is finished with this config and these inputs and its files are as
    /// they were written. An unreadable or foreign manifest means: not finished.
    pub fn finished(&self) -> Option<Manifest> {
        let manifest: Manifest = files::read_json(&self.path("manifest.json")).ok()?;
        let same = manifest.complete
            && manifest.stage == self.name
            && manifest.config == self.config
            && manifest.inputs == self.inputs
            && manifest.outputs.iter().all(|(file, hash)| files::hash_path(&self.path(file)).is_ok_and(|h| h == *hash));
        same.then_some(manifest)
    }

    /// Writes the manifest, the last act of a stage. `outputs` are files or folders below `dir`.
    pub fn finish(&self, counts: Counts, outputs: &[&str]) -> Result<Manifest> {
        let outputs = outputs
            .iter()
            .map(|file| Ok((file.to_string(), files::hash_path(&self.path(file))?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let manifest = Manifest {
            stage: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            complete: true,
            config: self.config.clone(),
            config_hash: blake3::hash(self.config.to_string().as_bytes()).to_hex().to_string(),
            inputs: self.inputs.clone(),
            outputs,
            counts,
        };
        files::write_json(&self.path("manifest.json"), &manifest)?;
        fs_err::remove_file(self.path(UNFINISHED))?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn finished_stage(root: &Path) -> Stage {
        let stage = Stage::new(root.join("pair"), "iter-1/pair", json!({"max": 3}), &[("cases", "aa")]);
        stage.begin(&[]).unwrap();
        files::write(&stage.path("pairs.jsonl"), |out| out.write_all(b"{}\n")).unwrap();
        stage.finish(Counts { r#in: 1, out: 1, ..Counts::default() }, &["pairs.jsonl"]).unwrap();
        stage
    }

    #[test]
    fn a_stage_is_finished_only_while_inputs_config_and_files_are_the_same() {
        let root = tempfile::tempdir().unwrap();
        let stage = finished_stage(root.path());
        assert_eq!(stage.finished().unwrap().counts.out, 1);

        let other_config = Stage { config: json!({"max": 4}), ..stage.clone() };
        let other_input = Stage { inputs: BTreeMap::from([("cases".into(), "bb".into())]), ..stage.clone() };
        assert!(other_config.finished().is_none() && other_input.finished().is_none());
        assert!(stage.key() != other_config.key() && stage.key() != other_input.key());

        fs_err::write(stage.path("pairs.jsonl"), "{} \n").unwrap();
        assert!(stage.finished().is_none());
    }

    #[test]
    fn unfinished_work_is_kept_for_the_same_key_alone() {
        let root = tempfile::tempdir().unwrap();
        let stage = Stage::new(root.path().join("sample"), "sample", json!({"top_p": 0.9}), &[]);
        stage.begin(&["partial"]).unwrap();
        fs_err::write(stage.path("partial"), "3 of 4").unwrap();
        fs_err::write(stage.path(".x1.drift-tmp"), "half a fi").unwrap();
        stage.begin(&["partial"]).unwrap();
        assert!(stage.path("partial").exists() && !stage.path(".x1.drift-tmp").exists());
        Stage { config: json!({"top_p": 0.8}), ..stage.clone() }.begin(&["partial"]).unwrap();
        assert!(!stage.path("partial").exists());
    }

    #[test]
    fn a_cut_manifest_means_not_finished() {
        let root = tempfile::tempdir().unwrap();
        let stage = finished_stage(root.path());
        let text = fs_err::read_to_string(stage.path("manifest.json")).unwrap();
        fs_err::write(stage.path("manifest.json"), &text[..text.len() / 2]).unwrap();
        assert!(stage.finished().is_none());
    }

    #[test]
    fn a_second_run_in_the_folder_is_an_error_until_the_first_ends() {
        let root = tempfile::tempdir().unwrap();
        let first = RunFolder::open(root.path()).unwrap();
        let error = RunFolder::open(root.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        drop(first);
        RunFolder::open(root.path()).unwrap();
    }

    #[test]
    fn counts_read_as_a_sentence() {
        let mut counts = Counts { r#in: 4, out: 3, ..Counts::default() };
        counts.drop("equal_to_rejected");
        counts.note("cut");
        assert_eq!(counts.to_string(), "3 of 4 (dropped: 1 equal to rejected; 1 cut)");
    }
}
