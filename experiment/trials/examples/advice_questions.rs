//! Draws 20 questions for `experiment advise`: 14 of calls and 3 of computations that can be met, 3 that cannot. A line for
//! each: its number, its kind, and the flags. `cargo run -p trials --example advice_questions -- SEED`

use std::error::Error;
use std::fmt;

/// What a question is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Cpu,
    Impossible,
}

/// Cores of the machine that the questions are for.
const CORES: f64 = 2.0;

struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    /// From `low` to `high`.
    fn within(&mut self, low: f64, high: f64) -> f64 {
        self.drawn += 1;
        let fraction = (wire::splitmix64(self.seed, self.drawn) >> 11) as f64 / (1u64 << 53) as f64;
        low + (high - low) * fraction
    }

    fn whole(&mut self, low: u64, high: u64) -> u64 {
        (self.within(low as f64, high as f64 + 1.0) as u64).min(high)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seed: u64 = std::env::args().nth(1).ok_or("expected SEED")?.parse()?;
    for number in 0..20 {
        let mut draw = Draw {
            seed: wire::splitmix64(seed, number),
            drawn: 0,
        };
        let (kind, flags) = match number {
            0..14 => (Kind::Http, calls(&mut draw, number)),
            14..17 => (Kind::Cpu, computations(&mut draw)),
            _ => (Kind::Impossible, impossible(&mut draw, number)),
        };
        println!("{number} {kind} {flags}");
    }
    Ok(())
}

/// Calls that keep 6 to 60 workers busy. Half of the questions have skewed keys, half log-normal delays, half an objective.
fn calls(draw: &mut Draw, number: u64) -> String {
    let window_s = draw.whole(1, 5);
    let keys = draw.whole(1, 8);
    let skew = match number % 2 {
        0 => format!(" --key-skew {:.1}", draw.within(0.3, 1.5)),
        _ => String::new(),
    };
    let window_ms = window_s as f64 * 1e3;
    let (delay, mean_ms) = match number % 4 {
        0 | 1 => {
            let median = draw.within(0.02, 0.06) * window_ms;
            let p99 = median * draw.within(3.0, 5.0);
            (
                format!("'lognormal(50={median:.0}ms,99={p99:.0}ms)'"),
                median * 1.25,
            )
        }
        2 => {
            let fixed = draw.within(0.04, 0.2) * window_ms;
            (format!("{fixed:.0}ms"), fixed)
        }
        _ => {
            let mean = draw.within(0.02, 0.04) * window_ms;
            (format!("'exponential({mean:.0}ms)'"), mean)
        }
    };
    let busy = draw.within(6.0, 60.0);
    let rate = (busy / mean_ms * 1e3).clamp(20.0, 300.0);
    let objective = match number / 4 % 2 {
        0 => format!(
            " --objective 'close_tail p90 < {:.0}ms'",
            draw.within(0.35, 0.6) * window_ms
        ),
        _ => String::new(),
    };
    format!("--io-delay {delay} --rpu {rate:.0} --keys {keys}{skew} --window {window_s}s{objective}")
}

/// Computations that keep a core and up to 0.3 of another busy, of one or two keys.
fn computations(draw: &mut Draw) -> String {
    let window_s = draw.whole(1, 3);
    let each_ms = draw.within(5.0, 20.0).round();
    let rate = draw.within(1.05, 1.3) / each_ms * 1e3;
    format!("--workload cpu --io-delay {each_ms:.0}ms --rpu {rate:.0} --keys 1 --window {window_s}s")
}

/// A call longer than two windows, an endpoint that serves half of what is sent, computations for more cores than there are.
fn impossible(draw: &mut Draw, number: u64) -> String {
    let window_s = draw.whole(1, 3);
    let rate = draw.whole(50, 300);
    match number {
        17 => {
            let delay_s = window_s as f64 * draw.within(2.0, 3.0);
            format!("--io-delay {delay_s:.1}s --rpu {rate} --keys 5 --window {window_s}s")
        }
        18 => {
            let delay_s = draw.within(0.1, 0.2);
            let capacity = rate as f64 * delay_s * draw.within(0.3, 0.6);
            format!(
                "--io-delay {delay_s:.2}s --rpu {rate} --keys 5 --window {window_s}s --capacity {:.0}",
                capacity.max(1.0)
            )
        }
        _ => {
            let each_ms = CORES * draw.within(1.2, 2.0) / rate as f64 * 1e3;
            format!("--workload cpu --io-delay {each_ms:.0}ms --rpu {rate} --keys 5 --window {window_s}s")
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Cpu => "cpu",
            Self::Impossible => "impossible",
        })
    }
}
