//! The decoder against transformers, on the tiny models of `make_references.py`: logits, greedy ids, gradients.

use drift_lm::load::load;
use drift_lm::safetensors::File;
use drift_lm::{Finish, Model, Packed, Precision, Request, Sampling, Tape, generate};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const MODELS: [&str; 9] =
    ["llama", "llama3-tied", "llama-linear", "llama-bias", "smollm2", "mistral", "qwen2", "qwen3-tied", "qwen3-window"];

#[derive(serde::Deserialize)]
struct Reference {
    input_ids: Vec<u32>,
    greedy: Vec<u32>,
    answer: usize,
    coefficients: Vec<f32>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn model(name: &str) -> Model {
    let loaded = load(&folder(name)).unwrap();
    Model::new(loaded.config, loaded.params, Precision::F32)
}

fn reference(name: &str) -> (Reference, File) {
    let json = std::fs::read_to_string(folder(name).join("reference.json")).unwrap();
    (serde_json::from_str(&json).unwrap(), File::open(&folder(name).join("reference.safetensors")).unwrap())
}

fn numbers(file: &File, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap_or_else(|| panic!("no {name}"));
    let mut numbers = vec![0.0; tensor.shape.iter().product()];
    tensor.dtype.to_f32(file.bytes(tensor), &mut numbers);
    numbers
}

fn norm(x: impl Iterator<Item = f32>) -> f64 {
    x.map(|x| x as f64 * x as f64).sum::<f64>().sqrt()
}

#[test]
fn logits_equal_those_of_transformers() {
    for name in MODELS {
        let (reference, file) = reference(name);
        let (ours, theirs) = (model(name).logits(&reference.input_ids), numbers(&file, "logits"));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name}: logits within {worst:.1e}");
        assert!(worst <= 1e-4, "{name}: logits differ by {worst}");
    }
}

#[test]
fn greedy_generation_equals_that_of_transformers() {
    for name in MODELS {
        let (reference, _) = reference(name);
        let request = Request { prompt: reference.input_ids, max_new: reference.greedy.len(), seed: 0 };
        let greedy = Sampling { temperature: 0.0, top_p: 1.0, top_k: 0 };
        let mut done = Vec::new();
        generate(&model(name), &[request], &greedy, &[], 1, &mut |i, sample| {
            done.push((i, sample.ids, matches!(sample.finish, Finish::Length)));
            ControlFlow::Continue(())
        });
        assert_eq!(done, [(0, reference.greedy, true)], "{name}");
    }
}

#[test]
fn gradients_equal_those_of_transformers() {
    for name in MODELS {
        let (reference, file) = reference(name);
        let model = model(name);
        let (prompt, answer) = reference.input_ids.split_at(reference.input_ids.len() - reference.answer);
        let mut batch = Packed::default();
        let targets = batch.push_sequence(prompt, answer);
        assert_eq!(targets, 0..reference.answer);
        // Once with all activations kept, once with all recomputed.
        for budget in [1 << 30, 0] {
            let mut tape = Tape::new(&model, budget);
            let logps = tape.forward(&model, &batch).to_vec();
            assert_eq!(logps, model.logps(&batch), "{name}: the tape and the forward pass alone");
            let mut grads = vec![0.0; model.layout().len];
            tape.backward(&model, &batch, &reference.coefficients, &mut grads);
            let mut worst = (0.0, "");
            for param in &model.layout().params {
                let theirs = numbers(&file, &format!("grad.{}", param.name));
                let ours = &grads[param.range.clone()];
                let error = norm(ours.iter().zip(&theirs).map(|(a, b)| a - b)) / norm(theirs.iter().copied());
                if error > worst.0 {
                    worst = (error, &param.name);
                }
            }
            println!("{name}, budget {budget}: gradients within {:.1e} ({})", worst.0, worst.1);
            assert!(worst.0 <= 1e-4, "{name}: the gradient of {} is off by {}", worst.1, worst.0);
        }
    }
}
