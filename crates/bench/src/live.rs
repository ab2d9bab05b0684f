//! From a commit to the event on an open stream.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use steward_base::Clock;
use url::Url;

use crate::Failure;
use crate::load::latencies;
use crate::workload::{Requests, Target};

/// Which server.
#[derive(Args)]
pub(crate) struct Live {
    /// The address of the server; plain HTTP.
    #[arg(long)]
    url: Url,
    /// A file that holds the bearer token.
    #[arg(long)]
    token_file: PathBuf,
    /// Records that are created, one after another.
    #[arg(long, default_value_t = 1_000)]
    times: u64,
}

/// Creates a record, waits for its answer and for its event on another connection, and again.
pub(crate) async fn measure(arguments: &Live) -> Result<(), Failure> {
    let clock = Clock::system();
    let token = std::fs::read_to_string(&arguments.token_file)?;
    let target = Target::new(&arguments.url, token.trim())?;
    let (mut stream, mut sender) = (target.connect().await?, target.connect().await?);
    stream.ready().await?;
    let answer = stream.send_request(target.follow("/api/v1/events/stream")).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("{} for the event stream", answer.status()).into());
    }
    let (heard, mut told) = tokio::sync::mpsc::unbounded_channel();
    let ears = clock.clone();
    tokio::spawn(async move {
        let (mut body, mut text) = (answer.into_body(), String::new());
        while let Some(Ok(frame)) = body.frame().await {
            let now = ears.monotonic();
            text.push_str(&String::from_utf8_lossy(frame.data_ref().map_or(&[], |data| data)));
            while let Some(end) = text.find("\n\n") {
                let message: String = text.drain(..end + 2).collect();
                let subject = message.lines().find_map(|line| line.strip_prefix("data:")).and_then(|data| {
                    let event: Value = serde_json::from_str(data).ok()?;
                    event["subject"].as_str().map(str::to_owned)
                });
                if let Some(subject) = subject {
                    // Nobody listens at the end of the run.
                    let _ = heard.send((subject, now));
                }
            }
        }
    });
    let first = u64::try_from(clock.now().micros()).unwrap_or_default();
    let (mut answers, mut events) = (latencies(), latencies());
    for number in 0..arguments.times {
        sender.ready().await?;
        let (request, _) = Requests::Create.make(&target, first + number);
        let began = clock.monotonic();
        let answer = sender.send_request(request).await?;
        let body: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
        let answered = clock.monotonic();
        let id = body["id"].as_str().ok_or("a project was created")?.to_owned();
        let heard = loop {
            let next = tokio::time::timeout(Duration::from_secs(10), told.recv()).await?;
            let (subject, at) = next.ok_or("the stream ended")?;
            if subject == id {
                break at;
            }
        };
        let micros = |until: Duration| u64::try_from(until.saturating_sub(began).as_micros()).unwrap_or(u64::MAX);
        answers.saturating_record(micros(answered));
        events.saturating_record(micros(heard));
    }
    let milliseconds = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1_000.0;
    println!(
        "{}",
        json!({ "workload": "live", "times": arguments.times, "answer_p50_ms": milliseconds(answers.value_at_quantile(0.5)),
            "answer_p99_ms": milliseconds(answers.value_at_quantile(0.99)), "p50_ms": milliseconds(events.value_at_quantile(0.5)),
            "p99_ms": milliseconds(events.value_at_quantile(0.99)) })
    );
    Ok(())
}
