//! Damaged files: whatever bytes change, loading ends with a model or one line, without panic and in bounded memory.

use drift_lm::Encoder;
use drift_lm::config::ModelConfig;
use drift_lm::load::{inspect, load};
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Remembers the largest single request.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls go to the system's allocator unchanged.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The fixtures have 112 KB of weights, 230 KB as f32, and config.json bounds the table of layers.
const MOST: usize = 8 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[derive(Clone, Debug)]
enum Damage {
    Set(usize, u8),
    /// Eight bytes, where sizes and offsets are.
    Number(usize, u64),
    Cut(usize),
    Drop(usize, usize),
    Repeat(usize, usize),
}

/// Mostly within the first `head` bytes, where the structure is.
fn damage(head: usize) -> impl Strategy<Value = Damage> {
    let at = || prop_oneof![3 => 0..head.min(64), 7 => 0..head];
    let odd = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        Just(u64::MAX - 7),
        Just(1 << 63),
        Just(1 << 61),
        (0u32..64).prop_map(|n| 1 << n),
        0u64..4096,
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, b)| Damage::Set(at, b)),
        4 => (at(), odd).prop_map(|(at, n)| Damage::Number(at, n)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), 1usize..64).prop_map(|(at, n)| Damage::Drop(at, n)),
        1 => (at(), 1usize..64).prop_map(|(at, n)| Damage::Repeat(at, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let len = bytes.len();
    let end = |at: usize, n: usize| (at.min(len), (at + n).min(len));
    match *damage {
        Damage::Set(at, b) if at < len => bytes[at] = b,
        Damage::Number(at, n) if at + 8 <= len => bytes[at..at + 8].copy_from_slice(&n.to_le_bytes()),
        Damage::Cut(at) => bytes.truncate(at),
        Damage::Drop(at, n) => drop(bytes.drain(end(at, n).0..end(at, n).1)),
        Damage::Repeat(at, n) => {
            let again = bytes[end(at, n).0..end(at, n).1].to_vec();
            bytes.splice(at.min(len)..at.min(len), again);
        }
        _ => {}
    }
}

/// One line, and no request for memory beyond the bound.
fn check<T>(result: Result<T, drift_lm::error::Error>) {
    if let Err(e) = result {
        let line = e.to_string();
        let told = line.contains("expected") || line.contains("cannot open the file");
        assert!(told && !line.contains('\n') && line.len() < 1000, "{line:?}");
    }
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= MOST, "{largest} bytes asked for at once");
}

proptest! {
    // 256 cases, more by PROPTEST_CASES (bench/fuzz).
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gguf(name in prop_oneof![Just("llama3-tied"), Just("qwen3-tied")],
            damages in prop::collection::vec(damage(6000), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = fs::read(fixture(&format!("gguf/{name}.gguf"))).unwrap();
        damages.iter().for_each(|d| apply(&mut bytes, d));
        let path = dir.path().join("model.gguf");
        fs::write(&path, bytes).unwrap();
        check(load(&path));
    }

    #[test]
    fn safetensors(damages in prop::collection::vec(damage(3600), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(fixture("qwen2/config.json"), dir.path().join("config.json")).unwrap();
        let mut bytes = fs::read(fixture("qwen2/model.safetensors")).unwrap();
        damages.iter().for_each(|d| apply(&mut bytes, d));
        fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        check(load(dir.path()));
    }

    #[test]
    fn encoder(config: bool, damages in prop::collection::vec(damage(3600), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        for (name, damaged) in [("config.json", config), ("model.safetensors", !config)] {
            let mut bytes = fs::read(fixture("bert").join(name)).unwrap();
            damages.iter().filter(|_| damaged).for_each(|d| apply(&mut bytes, d));
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        check(Encoder::load(dir.path()));
    }

    #[test]
    fn index_of_shards(damages in prop::collection::vec(damage(2400), 1..4)) {
        let dir = tempfile::tempdir().unwrap();
        for file in fs::read_dir(fixture("smollm2")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        let path = dir.path().join("model.safetensors.index.json");
        let mut bytes = fs::read(&path).unwrap();
        damages.iter().for_each(|d| apply(&mut bytes, d));
        fs::write(&path, bytes).unwrap();
        check(inspect(dir.path()));
    }

    #[test]
    fn config(name in prop_oneof![Just("llama3-tied"), Just("mistral"), Just("qwen3-window")],
              damages in prop::collection::vec(damage(900), 1..4)) {
        let mut bytes = fs::read(fixture(name).join("config.json")).unwrap();
        damages.iter().for_each(|d| apply(&mut bytes, d));
        let text = String::from_utf8_lossy(&bytes);
        check(ModelConfig::from_hf(&text, "config.json"));
    }

    #[test]
    fn numbers_of_a_config(field in 0usize..12, number in prop_oneof![
        Just(serde_json::json!(0)), Just(serde_json::json!(-1)), Just(serde_json::json!(1e300)),
        Just(serde_json::json!(u64::MAX)), Just(serde_json::json!("9")), Just(serde_json::json!([1])),
        (0u32..64).prop_map(|n| serde_json::json!(1u64 << n)),
    ]) {
        let fields = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "num_key_value_heads", "head_dim", "max_position_embeddings", "sliding_window", "max_window_layers",
            "rms_norm_eps", "eos_token_id"];
        let dir = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(fixture("qwen3-window/config.json")).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json[fields[field]] = number;
        fs::write(dir.path().join("config.json"), json.to_string()).unwrap();
        fs::copy(fixture("qwen3-window/model.safetensors"), dir.path().join("model.safetensors")).unwrap();
        check(load(dir.path()));
    }
}
