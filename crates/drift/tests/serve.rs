//! `drift serve`: a tiny model behind a local endpoint, asked by hand and as a judge.

mod common;

use common::World;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A server that ends with the test.
struct Served {
    process: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn serve(world: &World) -> Served {
    let mut process = Command::new(assert_cmd::cargo::cargo_bin!("drift"))
        .current_dir(world.root())
        .args(["serve", "--model", "model", "--port", "0", "--precision", "f32", "--name", "tiny", "-q"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap().to_string();
    Served { process, address }
}

impl Served {
    /// Status and body.
    fn send(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{more}Content-Length: {length}\r\n\r\n{body}",
            self.address
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap())
    }

    fn ask(&self, body: &Value) -> (u16, Value) {
        self.send("POST", "/v1/chat/completions", "Content-Type: application/json\r\n", &body.to_string())
    }
}

fn question(text: &str, more: &Value) -> Value {
    let mut body =
        json!({"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 8, "seed": 7});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn answers_are_those_of_generate_however_many_wait() {
    let world = World::new();
    let served = serve(&world);
    let texts = ["What is this?", "And that?", "Another one, please."];
    let expected = texts.map(|text| {
        let args =
            ["generate", "--model", "model", "--precision", "f32", "--max-new", "8", "--seed", "7", "--prompt", text];
        world.ok(&args).strip_suffix('\n').unwrap().to_string()
    });
    let together: Vec<Value> = std::thread::scope(|scope| {
        let asked = texts.map(|text| scope.spawn(|| served.ask(&question(text, &json!({}))).1));
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (reply, expected) in together.iter().zip(&expected) {
        assert_eq!(reply["choices"][0]["message"]["content"], json!(expected), "{reply}");
        let usage = &reply["usage"];
        assert_eq!(
            usage["total_tokens"].as_u64(),
            Some(usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap())
        );
    }
    let (status, models) = served.send("GET", "/v1/models", "", "");
    assert_eq!((status, &models["data"][0]["id"]), (200, &json!("tiny")));
}

#[test]
fn what_it_cannot_do_is_refused_in_words() {
    let world = World::new();
    let served = serve(&world);
    let long = "x".repeat(100_000);
    let mut lines = Vec::new();
    for more in [
        json!({"stream": true}),
        json!({"n": 2}),
        json!({"logprobs": true}),
        json!({"temperature": -1.0}),
        json!({"top_p": 0.0}),
        json!({"max_tokens": 0}),
        json!({"model": "other"}),
        json!({"messages": []}),
        json!({"messages": [{"role": "assistant", "content": "hello"}]}),
        json!({"messages": [{"role": "user", "content": long}]}),
    ] {
        let (status, reply) = served.ask(&question("hi", &more));
        lines.push(format!("{status} {}", reply["error"]["message"].as_str().unwrap()));
    }
    for (method, path, more) in [
        ("POST", "/v1/chat/completions", ""),
        ("GET", "/v1/chat/completions", ""),
        ("GET", "/", ""),
        ("GET", "/v1/models", "Origin: http://example.org\r\n"),
    ] {
        let (status, reply) = served.send(method, path, more, "");
        lines.push(format!("{status} {}", reply["error"]["message"].as_str().unwrap()));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

/// The local model through the judge's interface: of a random model no verdict makes sense, and the fast tier judges.
#[test]
fn a_local_model_can_be_the_judge() {
    let world = World::new();
    let served = serve(&world);
    let config = format!("[judge]\nbase_url = \"http://{}/v1\"\nmodel = \"tiny\"\n", served.address);
    std::fs::write(world.path("judge.toml"), config).unwrap();
    let args = ["detect", "chats.jsonl", "--out", "out", "--config", "judge.toml", "--detector", "judge"];
    let output = world.drift().args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("turns without a verdict of the judge") && stderr.contains("the fast tier judged them"),
        "{stderr}"
    );
}
