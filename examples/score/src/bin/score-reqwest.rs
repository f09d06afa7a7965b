//! The program of `main.rs` with reqwest, for a service that needs HTTP/2, redirects, cookies or a proxy.
//!
//!     SCORE_TOKEN=… score-reqwest --url http://scoring/score --max-workers 200

use std::process::ExitCode;

use async_reduce::{Aggregate, Call, CallError, Event, Message, SetUpError, Window};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

/// Scores payments, and sends the mean score of each key and window
#[derive(Clone, clap::Args)]
#[command(version)]
struct ScoreArgs {
    /// Where a payment is scored
    #[arg(long, env = "SCORE_URL")]
    url: Url,
    /// Token of the service; best in the environment, where no other user sees it
    #[arg(long, env = "SCORE_TOKEN", hide_env_values = true)]
    token: String,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    user: String,
    amount: f64,
}

#[derive(Deserialize)]
struct Scored {
    score: f64,
}

struct Score(Client, ScoreArgs);

impl Call for Score {
    type Answer = f64;

    async fn call(&self, event: &Event) -> Result<f64, CallError> {
        let Self(http, ScoreArgs { url, token }) = self;
        let payment: Payment = event.json()?;
        let request = http.post(url.clone()).bearer_auth(token).json(&payment);
        let answer = request.send().await?.error_for_status()?;
        Ok(answer.json::<Scored>().await?.score)
    }
}

#[derive(Default, Serialize)]
struct Mean {
    mean: f64,
    scored: u64,
    failed: u64,
}

impl Aggregate for Mean {
    type Answer = f64;

    fn add(&mut self, _: Event, answer: Result<f64, CallError>) {
        let Ok(score) = answer else {
            self.failed += 1;
            return;
        };
        self.scored += 1;
        self.mean += (score - self.mean) / self.scored as f64;
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        let tag = if self.failed == 0 { "scored" } else { "incomplete" };
        vec![Message::json(&self).tag(tag)]
    }
}

fn main() -> ExitCode {
    async_reduce::main(|args: &ScoreArgs| {
        // An error says that another part of the program has chosen one, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok::<_, SetUpError>((Score(Client::builder().build()?, args.clone()), Mean::default))
    })
}
