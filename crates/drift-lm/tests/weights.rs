//! Reading and writing models: block formats, GGUF against folders, round trips, and what each mistake is told.

use drift_lm::config::{Family, ModelConfig, RopeScaling};
use drift_lm::gguf::Gguf;
use drift_lm::load::{Source, inspect, load};
use drift_lm::params::Layout;
use drift_lm::quant::Dtype;
use drift_lm::save::{SHARD_LIMIT, SaveAs, save_hf};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const FOLDERS: [&str; 9] =
    ["llama", "llama3-tied", "llama-linear", "llama-bias", "smollm2", "mistral", "qwen2", "qwen3-tied", "qwen3-window"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Name, shape and bytes of every tensor of a safetensors file, read without the code under test.
fn plain_tensors(path: &Path) -> Vec<(String, Value, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let data = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&bytes[8..data]).unwrap();
    let range = |e: &Value, i: usize| data + e["data_offsets"][i].as_u64().unwrap() as usize;
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    tensors.map(|(name, e)| (name, e["shape"].clone(), bytes[range(&e, 0)..range(&e, 1)].to_vec())).collect()
}

#[test]
fn block_formats_equal_those_of_the_python_package() {
    let tensors = plain_tensors(&fixture("quant.safetensors"));
    let bytes = |name: String| &tensors.iter().find(|(n, _, _)| *n == name).unwrap_or_else(|| panic!("no {name}")).2;
    for dtype in Dtype::ALL.into_iter().filter(|d| *d != Dtype::F32) {
        let (blocks, expected) = (bytes(format!("{dtype:?}.blocks")), bytes(format!("{dtype:?}.numbers")));
        let mut ours = vec![0.0f32; expected.len() / 4];
        dtype.to_f32(blocks, &mut ours);
        for (i, (x, e)) in ours.iter().zip(expected.chunks(4)).enumerate() {
            assert_eq!(x.to_bits(), u32::from_le_bytes(e.try_into().unwrap()), "{dtype:?}, number {i}: {x}");
        }
    }
}

#[test]
fn a_gguf_file_and_the_folder_it_was_made_from_are_the_same_model() {
    for name in ["llama3-tied", "llama-bias", "qwen3-tied"] {
        let (folder, file) = (load(&fixture(name)).unwrap(), load(&fixture(&format!("gguf/{name}.gguf"))).unwrap());
        assert_eq!(file.config, folder.config, "{name}");
        assert!(file.params == folder.params, "{name}: other numbers");
        assert_eq!(file.hash, folder.hash, "{name}");
        assert!(matches!(folder.source, Source::HfFolder(_)));
        let Source::Gguf(gguf) = file.source else { panic!("{name} is a GGUF file") };
        let tokens = gguf.strs("tokenizer.ggml.tokens").unwrap().unwrap();
        assert_eq!((tokens.len(), tokens[162]), (163, "t162"));
    }
}

#[test]
fn configs_are_read_as_transformers_wrote_them() {
    let config = |name: &str| inspect(&fixture(name)).unwrap().config;
    let llama3 = config("llama3-tied");
    assert_eq!((llama3.family, llama3.num_kv_heads, llama3.tie_word_embeddings), (Family::Llama, 1, true));
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 64,
    };
    assert_eq!((llama3.rope_scaling, llama3.rope_theta), (scaling, 10_000.0));
    assert_eq!((llama3.eos_token_ids, llama3.bos_token_id, llama3.rms_norm_eps), (vec![2, 5], Some(1), 1e-5));
    assert_eq!(config("llama-linear").rope_scaling, RopeScaling::Linear { factor: 2.5 });
    let bias = config("llama-bias");
    assert_eq!((bias.qkv_bias, bias.o_bias, bias.mlp_bias), (true, true, true));
    assert_eq!((config("mistral").windows, config("mistral").head_dim), (vec![Some(8); 3], 16));
    let qwen2 = config("qwen2");
    assert_eq!((qwen2.qkv_bias, qwen2.o_bias, qwen2.bos_token_id, qwen2.head_dim), (true, false, None, 8));
    let qwen3 = config("qwen3-window");
    assert_eq!((qwen3.qk_norm, qwen3.tie_word_embeddings), (true, false));
    assert_eq!(qwen3.windows, vec![None, None, Some(8)]);
}

#[test]
fn inspecting_counts_without_loading() {
    let (seen, loaded) = (inspect(&fixture("smollm2")).unwrap(), load(&fixture("smollm2")).unwrap());
    assert_eq!(seen.params, loaded.params.len());
    assert_eq!(seen.dtypes, [(Dtype::BF16, seen.params)]);
    assert!(seen.file_bytes > 2 * seen.params, "all three shards");
    let vectors = 2 * 3 * 48 + 48;
    let gguf = inspect(&fixture("gguf/llama3-tied.gguf")).unwrap();
    assert_eq!(gguf.dtypes, [(Dtype::BF16, gguf.params - vectors), (Dtype::F32, vectors)]);
}

#[test]
fn a_saved_model_is_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    for name in FOLDERS {
        let model = load(&fixture(name)).unwrap();
        let (one, many) = (dir.path().join("one"), dir.path().join("many"));
        // The second save replaces the folder of the model before.
        save_hf(&one, &model.config, &model.params, SaveAs::F32, SHARD_LIMIT, &[("a.txt", b"x")]).unwrap();
        save_hf(&many, &model.config, &model.params, SaveAs::F32, 30_000, &[]).unwrap();
        for folder in [&one, &many] {
            let again = load(folder).unwrap();
            assert_eq!((again.config, again.hash), (model.config.clone(), model.hash.clone()), "{name}");
            assert!(again.params == model.params, "{name}");
        }
        assert_eq!(fs::read(one.join("a.txt")).unwrap(), b"x");
        assert!(!one.join("model.safetensors.index.json").exists());
        assert!(many.join("model.safetensors.index.json").exists());
        assert!(!many.join("model.safetensors").exists());
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no temporary folder stays: {left:?}");
}

#[test]
fn bf16_rounds_to_nearest_even_and_bytes_are_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = load(&fixture("qwen2")).unwrap();
    // 1 + 2^-8 lies halfway between 1 and the next bf16 1 + 2^-7; 1 + 3 * 2^-8 between odd and even.
    model.params[..3].copy_from_slice(&[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1.0 + 1.1 / 256.0]);
    let save = |name: &str| {
        save_hf(&dir.path().join(name), &model.config, &model.params, SaveAs::Bf16, SHARD_LIMIT, &[]).unwrap();
        fs::read(dir.path().join(name).join("model.safetensors")).unwrap()
    };
    assert!(save("a") == save("b"));
    let again = load(&dir.path().join("a")).unwrap();
    assert_eq!(again.params[..3], [1.0, 1.0 + 4.0 / 256.0, 1.0 + 2.0 / 256.0]);
    assert_ne!(again.hash, model.hash);
}

#[test]
fn a_failed_save_leaves_the_old_folder() {
    let dir = tempfile::tempdir().unwrap();
    let model = load(&fixture("llama")).unwrap();
    let out = dir.path().join("out");
    save_hf(&out, &model.config, &model.params, SaveAs::F32, SHARD_LIMIT, &[]).unwrap();
    let before = fs::read(out.join("model.safetensors")).unwrap();
    // A file whose folder does not exist cannot be written.
    let e = save_hf(&out, &model.config, &model.params, SaveAs::Bf16, SHARD_LIMIT, &[("no/where", b"")]).unwrap_err();
    assert!(e.to_string().contains("cannot write the file"), "{e}");
    assert!(fs::read(out.join("model.safetensors")).unwrap() == before);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// The Llama fixture's config with `change`, as text.
fn changed(change: &dyn Fn(&mut Value)) -> String {
    let mut json: Value = serde_json::from_slice(&fs::read(fixture("llama/config.json")).unwrap()).unwrap();
    change(&mut json);
    json.to_string()
}

#[test]
fn a_config_that_would_be_guessed_is_refused_by_name() {
    let set = |key: &'static str, value: Value| (key, changed(&|c| c[key] = value.clone()));
    let rope = |value: Value| changed(&|c| c["rope_parameters"] = value.clone());
    let refused = [
        set("architectures", json!(["GemmaForCausalLM"])),
        set("architectures", json!(["LlamaModel"])),
        set("model_type", json!("qwen2")),
        set("hidden_act", json!("gelu")),
        set("pretraining_tp", json!(2)),
        set("num_local_experts", json!(8)),
        set("quantization_config", json!({"bits": 4})),
        set("sliding_window", json!(128)),
        set("partial_rotary_factor", json!(0.5)),
        set("hidden_size", json!(50)),
        set("hidden_size", json!(-48)),
        set("hidden_size", json!("48")),
        set("num_hidden_layers", json!(u64::MAX)),
        set("head_dim", json!(11)),
        set("num_key_value_heads", json!(3)),
        set("rms_norm_eps", json!(0)),
        set("eos_token_id", json!([2, 163])),
        set("rope_theta", json!(1234)),
        ("rope_scaling", changed(&|c| c["rope_scaling"] = json!({"type": "linear", "factor": 2.0}))),
        ("rope_type", rope(json!({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0}))),
        ("rope_type", rope(json!({"rope_type": "dynamic", "factor": 4.0}))),
        ("mrope_section", rope(json!({"rope_type": "default", "mrope_section": [4, 4]}))),
        ("low_freq_factor", rope(json!({"rope_type": "llama3", "factor": 4.0}))),
        ("factor", rope(json!({"rope_type": "linear"}))),
    ];
    for (field, text) in refused {
        let e = ModelConfig::from_hf(&text, "config.json").expect_err(field).to_string();
        assert!(e.starts_with("config.json: ") && e.contains(field) && e.contains("expected"), "{field}: {e}");
        assert!(!e.contains('\n'), "{e}");
    }
    for (text, place) in [("{\"a\": 1,\n", "line 2"), ("[]", "config.json"), ("", "line 1")] {
        let e = ModelConfig::from_hf(text, "config.json").unwrap_err().to_string();
        assert!(e.contains(place) && e.contains("expected"), "{e}");
    }
}

#[test]
fn rope_is_read_in_both_spellings() {
    let old = changed(&|c| {
        c.as_object_mut().unwrap().remove("rope_parameters");
        c["rope_theta"] = json!(500000.0);
        c["rope_scaling"] = json!({"type": "linear", "factor": 4});
    });
    let new = changed(&|c| c["rope_parameters"] = json!({"rope_type": "linear", "rope_theta": 500000.0, "factor": 4}));
    let config = ModelConfig::from_hf(&old, "old").unwrap();
    assert_eq!(config, ModelConfig::from_hf(&new, "new").unwrap());
    assert_eq!((config.rope_theta, config.rope_scaling), (500_000.0, RopeScaling::Linear { factor: 4.0 }));
}

#[test]
fn end_tokens_of_the_generation_config_are_added() {
    let mut config = ModelConfig::from_hf(&changed(&|_| ()), "config.json").unwrap();
    config.add_generation_config("{\"eos_token_id\": [7, 2], \"temperature\": 0.6}", "generation_config.json").unwrap();
    assert_eq!(config.eos_token_ids, [2, 7]);
    let e = config.add_generation_config("{\"eos_token_id\": 163}", "generation_config.json").unwrap_err();
    assert_eq!(e.to_string(), "generation_config.json: eos_token_id is 163, expected less than vocab_size 163");
}

/// A copy of the Llama fixture with other tensors.
fn folder_with(tensors: &[(String, Value, Vec<u8>)], tied: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), changed(&|c| c["tie_word_embeddings"] = tied.into())).unwrap();
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, bytes) in tensors {
        let range = [data.len(), data.len() + bytes.len()];
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": range}));
        data.extend(bytes);
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    fs::write(dir.path().join("model.safetensors"), file).unwrap();
    dir
}

#[test]
fn tensors_that_do_not_fit_the_config_are_named() {
    let all = plain_tensors(&fixture("llama/model.safetensors"));
    let error = |tensors: &[_], tied| load(folder_with(tensors, tied).path()).err().map(|e| e.to_string());
    assert_eq!(error(&all, false), None);
    let name = "model.layers.1.mlp.up_proj.weight";
    let at = all.iter().position(|t| t.0 == name).unwrap();

    let mut missing = all.clone();
    missing.remove(at);
    let e = error(&missing, false).unwrap();
    assert!(e.contains(name) && e.ends_with("is missing, expected shape [60, 48]"), "{e}");

    let mut reshaped = all.clone();
    reshaped[at].1 = json!([48, 60]);
    let e = error(&reshaped, false).unwrap();
    assert!(e.contains(name) && e.ends_with("has shape [48, 60], expected [60, 48]"), "{e}");

    let mut surplus = all.clone();
    surplus.push(("model.layers.1.self_attn.q_proj.bias".into(), json!([1]), vec![0; 4]));
    let e = error(&surplus, false).unwrap();
    assert!(e.contains("q_proj.bias") && e.contains("no place"), "{e}");

    let mut table = all.clone();
    table.push(("model.layers.1.self_attn.rotary_emb.inv_freq".into(), json!([1]), vec![0; 4]));
    assert_eq!(error(&table, false), None);

    let mut damaged = all.clone();
    damaged[at].2[40..44].copy_from_slice(&f32::NAN.to_le_bytes());
    let e = error(&damaged, false).unwrap();
    assert!(e.contains(name) && e.contains("number 10 is NaN"), "{e}");

    let e = error(&all, true).unwrap();
    assert!(e.contains("lm_head.weight") && e.contains("differs from the embeddings"), "{e}");
    let mut tied = all.clone();
    let embed = tied.iter().find(|t| t.0 == "model.embed_tokens.weight").unwrap().2.clone();
    tied.iter_mut().find(|t| t.0 == "lm_head.weight").unwrap().2 = embed;
    assert_eq!(error(&tied, true), None);
}

#[test]
fn a_gguf_file_that_lies_is_refused() {
    let good = fs::read(fixture("gguf/qwen3-tied.gguf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let e = load(&path).err().expect("refused").to_string();
        assert!(!e.contains('\n') && e.contains("expected"), "{e}");
        e
    };
    let find = |text: &str| good.windows(text.len()).position(|w| w == text.as_bytes()).unwrap();
    let put = |at: usize, bytes: &[u8]| {
        let mut copy = good.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        copy
    };
    assert!(error(b"GGML....").contains("\"GGML\", expected \"GGUF\""));
    assert!(error(&put(4, &[1])).contains("version 1"));
    assert!(error(&put(4, &[0, 0, 0, 3])).contains("big-endian"));
    assert!(error(&put(8, &u64::MAX.to_le_bytes())).contains("byte"), "number of tensors");
    assert!(error(&put(16, &u64::MAX.to_le_bytes())).contains("byte"), "number of entries");
    assert!(error(&put(24, &u64::MAX.to_le_bytes())).contains("a metadata key takes"), "length of the first key");
    assert!(error(&good[..good.len() - 100]).contains("cut or damaged"));
    assert!(error(&good[..1000]).contains("cut or damaged"));
    // The name of a tensor is followed by rank, dimensions, type and offset.
    let after = find("blk.1.ffn_up.weight") + "blk.1.ffn_up.weight".len();
    assert!(error(&put(after, &9u32.to_le_bytes())).contains("rank 9"));
    assert!(error(&put(after + 4, &[255; 16])).contains("expected one that fits"));
    assert!(error(&put(after + 20, &16u32.to_le_bytes())).contains("IQ2_XXS"));
    assert!(error(&put(after + 24, &0u64.to_le_bytes())).contains("overlaps"));
    assert!(error(&put(after + 24, &(1u64 << 40).to_le_bytes())).contains("expected them within"));
    assert!(error(&put(after + 24, &u64::MAX.to_le_bytes())).contains("expected them within"));
    assert!(error(&put(after + 24, &3u64.to_le_bytes())).contains("a multiple of 32"));
    assert!(error(&put(find("blk.1.ffn_up.weight"), b"blk.1.ffn_xx")).contains("missing"));
    assert!(error(&put(find("qwen3.block_count"), b"qwen3.blokk_count")).contains("qwen3.blokk_count"));
    assert!(error(b"").contains("empty file"));
}

#[test]
fn metadata_of_the_wrong_type_are_refused() {
    let gguf = Gguf::open(&fixture("gguf/qwen3-tied.gguf")).unwrap();
    assert_eq!(gguf.u64("qwen3.block_count").unwrap(), Some(3));
    assert_eq!(gguf.u64("absent").unwrap(), None);
    assert_eq!(gguf.f64("qwen3.attention.layer_norm_rms_epsilon").unwrap(), Some(1e-6));
    let e = gguf.str("qwen3.block_count").unwrap_err().to_string();
    assert!(e.ends_with("metadata `qwen3.block_count` is U64(3), expected text"), "{e}");
    assert!(gguf.i64s("tokenizer.ggml.tokens").is_err());
    assert!(gguf.u64("tokenizer.ggml.tokens").is_err());
}

#[test]
fn the_layout_has_one_range_for_every_number() {
    for name in FOLDERS {
        let layout = Layout::of(&inspect(&fixture(name)).unwrap().config);
        let mut at = 0;
        for param in &layout.params {
            assert_eq!((param.range.start, param.range.len()), (at, param.shape.iter().product()), "{}", param.name);
            at = param.range.end;
        }
        assert_eq!(at, layout.len);
    }
}
