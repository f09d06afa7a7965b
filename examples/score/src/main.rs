//! A UDF of your own: a service scores each payment, and a key and window sends the mean of its scores.
//!
//!     SCORE_TOKEN=… score --url http://scoring/score --max-workers 200

use std::process::ExitCode;

use async_reduce::http::{AUTHORIZATION, CONTENT_TYPE, Client, HeaderMap, HeaderValue, Method, Target};
use async_reduce::{Aggregate, Call, CallError, Event, Message, SetUpError, Window};
use serde::{Deserialize, Serialize};

/// Scores payments, and sends the mean score of each key and window
#[derive(clap::Args)]
#[command(version)]
struct ScoreArgs {
    /// Where a payment is scored
    #[arg(long, env = "SCORE_URL")]
    url: Target,
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

struct Score(Client, HeaderMap);

impl Call for Score {
    type Answer = f64;

    async fn call(&self, event: &Event) -> Result<f64, CallError> {
        let Self(http, headers) = self;
        let payment: Payment = event.json()?;
        let body = serde_json::to_vec(&payment).map_err(CallError::bad_input)?;
        let answer = http.request(event, Method::POST, http.path(), headers, body);
        Ok(answer.await?.error_for_status()?.json::<Scored>()?.score)
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
        vec![Message::json(&self).tag(if self.failed == 0 { "scored" } else { "incomplete" })]
    }
}

fn main() -> ExitCode {
    async_reduce::main(|args: &ScoreArgs| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, format!("Bearer {}", args.token).parse()?);
        Ok::<_, SetUpError>((Score(Client::new(&args.url)?, headers), Mean::default))
    })
}
