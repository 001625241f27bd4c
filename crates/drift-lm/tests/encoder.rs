//! The encoder against transformers (`make_encoder_references.py`), its bits in any company, and what each mistake is
//! told.

use drift_lm::Encoder;
use drift_lm::safetensors::File;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Reference {
    ids: Vec<Vec<u32>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn tiny() -> Encoder {
    Encoder::load(&fixture("bert")).unwrap()
}

fn reference(name: &str) -> (Vec<Vec<u32>>, File) {
    let json = fs::read_to_string(fixture(name).join("reference.json")).unwrap();
    let Reference { ids } = serde_json::from_str(&json).unwrap();
    (ids, File::open(&fixture(name).join("reference.safetensors")).unwrap())
}

fn numbers(file: &File, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap_or_else(|| panic!("no {name}"));
    let mut numbers = vec![0.0; tensor.shape.iter().product()];
    tensor.dtype.to_f32(file.bytes(tensor), &mut numbers);
    numbers
}

fn embed(encoder: &Encoder, texts: &[Vec<u32>]) -> Vec<f32> {
    encoder.embed(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
}

fn worst(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_tiny_encoder_equals_that_of_transformers() {
    let (encoder, (texts, file)) = (tiny(), reference("bert"));
    for (i, ids) in texts.iter().enumerate() {
        let off = worst(&encoder.hidden(ids).unwrap(), &numbers(&file, &format!("hidden.{i}")));
        println!("text {i}, {} tokens: states within {off:.1e}", ids.len());
        assert!(off <= 1e-5, "text {i}: states differ by {off}");
    }
    let off = worst(&embed(&encoder, &texts), &numbers(&file, "pooled"));
    println!("vectors within {off:.1e}");
    assert!(off <= 1e-5, "vectors differ by {off}");
}

/// `DRIFT_MINILM`, else the cache folder of the `drift` binary.
fn minilm() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = var("DRIFT_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("drift")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/drift")));
    let cached = cache.map(|dir| dir.join("assets/all-MiniLM-L6-v2"));
    var("DRIFT_MINILM").or(cached).filter(|path| path.join("model.safetensors").is_file())
}

#[test]
fn the_real_encoder_equals_that_of_transformers() {
    let Some(folder) = minilm() else {
        println!("skipped: no all-MiniLM-L6-v2; hint: set DRIFT_MINILM to its folder");
        return;
    };
    let encoder = Encoder::load(&folder).unwrap();
    assert_eq!((encoder.hidden_size(), encoder.max_tokens()), (384, 256));
    let (texts, file) = reference("minilm");
    let (ours, theirs) = (embed(&encoder, &texts), numbers(&file, "pooled"));
    let off = worst(&ours, &theirs);
    let cosine = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| *a as f64 * *b as f64).sum::<f64>();
    let least = ours.chunks(384).zip(theirs.chunks(384)).map(cosine).fold(1.0, f64::min);
    println!("{} vectors within {off:.1e}, cosines of 1 - {:.1e} at least", texts.len(), 1.0 - least);
    assert!(off <= 1e-5 && least >= 1.0 - 1e-6, "vectors differ by {off}, cosine {least}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Enough tokens for several tasks, cut at other places in other batches.
    #[test]
    fn company_and_threads_change_no_bit(
        texts in prop::collection::vec(prop::collection::vec(0u32..61, 1..=40), 1..40),
        batch in 1usize..20, threads in 1usize..5,
    ) {
        let encoder = tiny();
        let alone: Vec<f32> = texts.iter().flat_map(|text| embed(&encoder, std::slice::from_ref(text))).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let batched: Vec<f32> = pool.install(|| texts.chunks(batch).flat_map(|texts| embed(&encoder, texts)).collect());
        prop_assert!(alone == batched && alone == embed(&encoder, &texts));
        for vector in alone.chunks(32) {
            let length: f64 = vector.iter().map(|x| *x as f64 * *x as f64).sum();
            prop_assert!((length - 1.0).abs() < 1e-6, "{}", length);
        }
    }
}

/// The folder of the tiny encoder, to be changed.
struct Folder {
    dir: tempfile::TempDir,
    config: Map<String, Value>,
    /// Name, type, shape and bytes.
    tensors: Vec<(String, String, Vec<usize>, Vec<u8>)>,
}

impl Folder {
    fn new() -> Folder {
        let config = serde_json::from_str(&fs::read_to_string(fixture("bert/config.json")).unwrap()).unwrap();
        let file = File::open(&fixture("bert/model.safetensors")).unwrap();
        let tensors = file
            .tensors()
            .map(|(name, t)| (name.to_string(), "F32".to_string(), t.shape.clone(), file.bytes(t).to_vec()))
            .collect();
        Folder { dir: tempfile::tempdir().unwrap(), config, tensors }
    }

    fn tensor(&mut self, name: &str) -> &mut (String, String, Vec<usize>, Vec<u8>) {
        self.tensors.iter_mut().find(|(n, ..)| n == name).unwrap()
    }

    fn write(&self, name: &str, value: Value) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }

    fn load(&self) -> Result<Encoder, String> {
        self.write("config.json", Value::Object(self.config.clone()));
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, dtype, shape, bytes) in &self.tensors {
            let ends = [data.len(), data.len() + bytes.len()];
            header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": ends }));
            data.extend_from_slice(bytes);
        }
        let header = Value::Object(header).to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend(data);
        fs::write(self.dir.path().join("model.safetensors"), file).unwrap();
        let loaded = Encoder::load(self.dir.path());
        loaded.map_err(|e| e.to_string().replace(&format!("{}/", self.dir.path().display()), ""))
    }

    fn refused(&self, expected: &str) {
        let error = self.load().err().unwrap_or_else(|| panic!("loads, expected: {expected}"));
        assert_eq!(error, expected);
    }
}

#[test]
fn a_folder_with_a_prefix_heads_and_a_table_of_positions_is_the_same_encoder() {
    let mut folder = Folder::new();
    folder.config["architectures"] = json!(["BertForMaskedLM"]);
    for (name, ..) in &mut folder.tensors {
        name.insert_str(0, "bert.");
    }
    let positions = (0..40i64).flat_map(i64::to_le_bytes).collect();
    folder.tensors.push(("bert.embeddings.position_ids".into(), "I64".into(), vec![1, 40], positions));
    folder.tensors.push(("cls.predictions.bias".into(), "F32".into(), vec![1], vec![0; 4]));
    let (texts, _) = reference("bert");
    assert_eq!(embed(&folder.load().unwrap(), &texts), embed(&tiny(), &texts));
}

#[test]
fn what_sentence_transformers_adds_is_read() {
    let folder = Folder::new();
    assert_eq!(folder.load().unwrap().max_tokens(), 40);
    folder.write("sentence_bert_config.json", json!({ "max_seq_length": 24 }));
    let modules = |kinds: &[(&str, &str)]| {
        let module = |(kind, path): &(&str, &str)| json!({ "idx": 0, "type": format!("models.{kind}"), "path": path });
        folder.write("modules.json", kinds.iter().map(module).collect());
    };
    let usual = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")];
    modules(&usual);
    folder.write("1_Pooling/config.json", json!({ "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true }));
    assert_eq!(folder.load().unwrap().max_tokens(), 24);

    folder.write("sentence_bert_config.json", json!({ "max_seq_length": 41 }));
    folder.refused("sentence_bert_config.json: max_seq_length is `41`, expected 1 to 40");
    folder.write("1_Pooling/config.json", json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false }));
    folder.refused("1_Pooling/config.json: pooling_mode_mean_tokens is `false`, expected true");
    folder.write("1_Pooling/config.json", json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true }));
    let expected = "pooling_mode_cls_token is `true`, expected false beside pooling_mode_mean_tokens";
    folder.refused(&format!("1_Pooling/config.json: {expected}"));
    let expected = "expected a Transformer at \"\", a Pooling at \"1_Pooling\" and perhaps a Normalize";
    modules(&[usual[0], usual[1], ("Dense", "2_Dense")]);
    folder.refused(&format!("modules.json: module 2 is `Dense` at `2_Dense`, {expected}"));
    modules(&usual[..1]);
    folder.refused(&format!("modules.json: has 1 modules, {expected}"));
    folder.write("modules.json", json!({ "type": "Transformer" }));
    folder.refused(&format!("modules.json: line 1 column 0 is no list of modules, {expected}"));
}

#[test]
fn other_configs_are_refused() {
    let cases = [
        ("model_type", json!("roberta"), "model_type is `\\\"roberta\\\"`, expected \"bert\""),
        (
            "architectures",
            json!(["BertLMHeadModel"]),
            "architectures is `[\\\"BertLMHeadModel\\\"]`, expected [\"BertModel\"] or [\"BertForMaskedLM\"]",
        ),
        ("hidden_act", json!("gelu_new"), "hidden_act is `\\\"gelu_new\\\"`, expected \"gelu\""),
        (
            "position_embedding_type",
            json!("relative_key"),
            "position_embedding_type is `\\\"relative_key\\\"`, expected \"absolute\"",
        ),
        ("is_decoder", json!(true), "is_decoder is `true`, expected nothing"),
        ("hidden_size", json!(0), "hidden_size is `0`, expected 1 to 16777216"),
        ("hidden_size", json!("32"), "hidden_size is `\\\"32\\\"`, expected a whole number"),
        ("num_attention_heads", json!(5), "num_attention_heads is `5`, expected a divisor of hidden_size 32"),
        ("layer_norm_eps", json!(-1), "layer_norm_eps is `-1`, expected between 0 and 1"),
        ("vocab_size", Value::Null, "vocab_size is missing, expected a value"),
    ];
    for (field, value, expected) in cases {
        let mut folder = Folder::new();
        folder.config.insert(field.into(), value);
        folder.refused(&format!("config.json: {expected}"));
    }
}

#[test]
fn other_weights_are_refused() {
    const KEY: &str = "encoder.layer.1.attention.self.key.weight";
    let place = format!("model.safetensors: tensor `{KEY}`");
    let mut folder = Folder::new();
    folder.tensor(KEY).2 = vec![16, 64];
    folder.refused(&format!("{place}: has shape [16, 64], expected [32, 32]"));
    folder.tensor(KEY).2 = vec![32, 32];
    folder.tensor(KEY).3[40..44].copy_from_slice(&f32::NAN.to_le_bytes());
    folder.refused(&format!("{place}: number 10 is NaN, expected finite numbers; hint: the file is damaged"));
    folder.tensor(KEY).0 = "other".into();
    folder.refused(&format!("{place}: is missing, expected shape [32, 32]"));

    let mut folder = Folder::new();
    let more = ("encoder.layer.2.output.dense.bias".to_string(), "F32".to_string(), vec![0], vec![]);
    folder.tensors.push(more);
    let expected = "has no place in the model of config.json, expected none";
    folder.refused(&format!("model.safetensors: tensor `encoder.layer.2.output.dense.bias`: {expected}"));
    folder.tensors.pop();
    folder.config["vocab_size"] = json!(16_777_216);
    let place = "model.safetensors: tensor `embeddings.word_embeddings.weight`";
    folder.refused(&format!("{place}: has shape [61, 32], expected [16777216, 32]"));
}

#[test]
fn texts_that_do_not_fit_are_refused() {
    let encoder = tiny();
    let told = |texts: &[&[u32]]| encoder.embed(texts).unwrap_err().to_string();
    assert_eq!(told(&[&[1], &[]]), "encoder: text 1: has 0 tokens, expected 1 to 40");
    assert_eq!(told(&[&[1; 41]]), "encoder: text 0: has 41 tokens, expected 1 to 40");
    assert_eq!(told(&[&[1], &[1], &[60, 61]]), "encoder: text 2: token 1 has id 61, expected less than 61");
    assert!(encoder.embed(&[]).unwrap().is_empty());
}

#[test]
fn a_vector_that_is_not_finite_is_an_error() {
    let mut folder = Folder::new();
    for bytes in folder.tensor("encoder.layer.1.output.LayerNorm.weight").3.as_chunks_mut().0 {
        *bytes = f32::MAX.to_le_bytes();
    }
    let told = folder.load().unwrap().embed(&[&[1, 2]]).unwrap_err().to_string();
    let hint = "hint: the model's weights are too large for f32";
    assert_eq!(told, format!("encoder: text 0: has no finite vector, expected one; {hint}"));
}
