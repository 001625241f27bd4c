//! A tiny world for tests of whole commands: a random model with a byte tokenizer and a chat
//! template, and a log of made-up conversations.
#![allow(dead_code)] // each test binary uses its own part

pub mod endpoint;

use assert_cmd::Command;
use drift_lm::config::{Family, ModelConfig, RopeScaling};
use drift_lm::params::Layout;
use drift_lm::save::{SHARD_LIMIT, SaveAs, save_hf};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const TEMPLATE: &str = "{% for message in messages %}{{ '<|start|>' + message['role'] + '\n' + message['content'] + \
                            '<|end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}";

/// Bytes, then the special tokens.
const SPECIAL: [&str; 3] = ["<|end|>", "<|start|>", "<|text|>"];

/// A folder that holds `model/` and `chats.jsonl`, and is removed in the end.
pub struct World {
    dir: TempDir,
}

impl World {
    pub fn new() -> World {
        let world = World { dir: tempfile::tempdir().unwrap() };
        write_model(&world.path("model"));
        std::fs::write(world.path("chats.jsonl"), chats(60)).unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a small run's config as `name` and returns its path; `more` is added to it.
    pub fn config(&self, name: &str, run_dir: &str, more: &str) -> PathBuf {
        let text = format!(
            "[run]\ndir = \"{run_dir}\"\n[model]\npath = \"model\"\nprecision = \"f32\"\n[logs]\nfiles = [\"chats.jsonl\"]\n\
             [detect]\nheld_out = 0.3\nmax_cases = 12\nmax_held_out = 6\nmax_seed_pairs = 6\n[warm]\nepochs = 1\n\
             [sample]\nmax_new_tokens = 12\nconcurrency = 4\n{more}\n\
             [train]\niterations = 2\nbatch_size = 2\nlearning_rate = 1e-3\nmax_length = 600\nmax_prompt_length = 400\n\
             save_every = 1\n"
        );
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program, in this folder, with nothing of the machine's own settings.
    pub fn drift(&self) -> Command {
        let mut command = Command::cargo_bin("drift").unwrap();
        command.current_dir(self.root()).env("DRIFT_CACHE", self.path("cache")).env_remove("NO_COLOR");
        command
    }

    /// Runs a command that must succeed and returns its stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.drift().args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "drift {args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with exit 1 and one line on stderr, which is returned with the
    /// folder's name taken out.
    pub fn error(&self, args: &[&str]) -> String {
        let output = self.drift().args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).replace(&self.root().display().to_string(), "DIR");
        assert_eq!(output.status.code(), Some(1), "drift {args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "drift {args:?}: a failure has no data");
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "drift {args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "drift {args:?}: {stderr}");
        errors[0].to_string()
    }
}

/// 2 layers of random weights, the same ones always.
pub fn write_model(dir: &Path) {
    write_model_with(dir, true, |_, _| {});
}

/// A model that says these two letters in turn, whatever it is asked.
pub fn write_model_that_says(dir: &Path, letters: &str) {
    let &[first, second] = letters.as_bytes() else { panic!("two letters") };
    write_model_with(dir, false, |name, values| {
        // Tokens lie on three axes: the first letter, the second, all others. Each letter is what follows its axes.
        let follows = match name {
            _ if name.ends_with("norm.weight") => return,
            "model.embed_tokens.weight" => false,
            "lm_head.weight" => true,
            _ => return values.iter_mut().for_each(|value| *value *= 0.05),
        };
        for (token, row) in values.chunks_mut(32).enumerate() {
            let kind = [first, second].iter().position(|&letter| token == usize::from(letter)).unwrap_or(2);
            row.fill(0.0);
            match (follows, kind) {
                (false, kind) => row[kind] = 1.0,
                (true, 0) => row[1..3].fill(1.2),
                (true, 1) => row[0] = 1.2,
                _ => {}
            }
        }
    });
}

fn write_model_with(dir: &Path, tied: bool, edit: impl Fn(&str, &mut [f32])) {
    let config = ModelConfig {
        family: Family::Llama,
        vocab_size: 256 + SPECIAL.len(),
        hidden_size: 32,
        intermediate_size: 48,
        num_layers: 2,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        max_position_embeddings: 1024,
        tie_word_embeddings: tied,
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        qk_norm: false,
        windows: vec![None; 2],
        bos_token_id: None,
        eos_token_ids: vec![256],
    };
    let mut params = Vec::new();
    for param in &Layout::of(&config).params {
        let value = |i| if param.name.ends_with("norm.weight") { 1.0 } else { 0.4 * noise(&param.name, i) };
        let mut values: Vec<f32> = (0..param.range.len()).map(value).collect();
        edit(&param.name, &mut values);
        params.extend(values);
    }
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": null, "eos_token": "<|end|>",
        "chat_template": TEMPLATE,
    });
    let (tokenizer, tokenizer_config) = (tokenizer().to_string(), tokenizer_config.to_string());
    let others = [("tokenizer.json", tokenizer.as_bytes()), ("tokenizer_config.json", tokenizer_config.as_bytes())];
    save_hf(dir, &config, &params, SaveAs::F32, SHARD_LIMIT, &others).unwrap();
}

/// From -1 to 1.
fn noise(name: &str, i: usize) -> f32 {
    let hash = drift::seeds::seed(i as u64, &[name]);
    (hash >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// Byte-level BPE without merges: a token a byte.
fn tokenizer() -> Value {
    let mut vocab = serde_json::Map::new();
    for (id, byte) in (0..=255u8).enumerate() {
        vocab.insert(byte_char(byte).to_string(), id.into());
    }
    let added: Vec<Value> = SPECIAL
        .iter()
        .enumerate()
        .map(|(i, text)| {
            json!({ "id": 256 + i, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true })
        })
        .collect();
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                   "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": [] },
    })
}

/// GPT-2's printable stand-in for a byte: itself where it is printable, else the next free one from U+0100 on.
fn byte_char(byte: u8) -> char {
    let printable = |b: u8| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match printable(byte) {
        true => byte as char,
        false => char::from_u32(0x100 + (0..byte).filter(|b| !printable(*b)).count() as u32).unwrap(),
    }
}

/// Conversations, most of them with a user who is dissatisfied; in some the second answer makes up for it.
pub fn chats(n: usize) -> String {
    let mut text = String::new();
    for i in 0..n {
        let (a, b) = (i % 7 + 2, i % 5 + 3);
        let mut messages = vec![
            json!({ "role": "user", "content": format!("What is {a} times {b}, number {i}?") }),
            json!({ "role": "assistant", "content": format!("It is {}.", a * b + 1) }),
            json!({ "role": "user", "content": "No, that is wrong. You made a mistake, please correct it." }),
            json!({ "role": "assistant", "content": format!("I apologize for the mistake. It is {}.", a * b) }),
        ];
        if i % 3 == 0 {
            messages.push(json!({ "role": "user", "content": "Thank you, that is perfect!" }));
            messages.push(json!({ "role": "assistant", "content": "You're welcome!" }));
        }
        writeln!(text, "{}", json!({ "id": format!("chat-{i}"), "messages": messages })).unwrap();
    }
    text
}
