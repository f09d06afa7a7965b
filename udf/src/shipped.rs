//! The program `udf`: its flags, its call, its answers and what it makes of them. No part of the library.

mod answer;
mod destination;
mod flags;
mod results;

use async_reduce::{
    BlockingCall, Both, Call, CallError, CpuCall, Event, Forms, HttpCall, SetUpError, Settings, Work,
};
use wire::Workload;

pub(crate) use flags::Flags;

use answer::{Answer, Reader};
use results::{ResultKind, Results};

/// What a call does.
enum Shipped {
    Http { call: Box<HttpCall>, reader: Reader },
    Cpu(CpuCall),
}

/// The calls, and whether two of them do no more than one.
pub(crate) struct Calls {
    call: Shipped,
    repeatable: bool,
}

/// Makes the call and what makes the aggregates.
///
/// # Errors
/// Returns an error that names the flag if one cannot be used, or if two cannot be used together.
pub(crate) fn set_up(
    flags: &Flags,
    settings: &Settings,
) -> Result<(Calls, impl Fn() -> Results + Send + Sync + use<>), SetUpError> {
    let result = flags.result();
    result.expect_of_answers();
    let calls = match settings.workload {
        Workload::Cpu if result != ResultKind::Count => {
            return Err(format!("result: `{result}` needs answers, and the workload cpu gives none").into());
        }
        Workload::Cpu => {
            let cores = std::thread::available_parallelism()
                .ok()
                .filter(|_| settings.cpu_offload);
            let call = CpuCall::new(settings.io_delay.clone(), cores)
                .map_err(|error| format!("cpu_offload: cannot start a thread for each core: {error}"))?;
            Calls {
                call: Shipped::Cpu(call),
                repeatable: true,
            }
        }
        Workload::Http => Calls {
            call: Shipped::Http {
                call: Box::new(flags.http_call(settings)?),
                reader: flags.reader(),
            },
            repeatable: flags.is_repeatable(),
        },
    };
    Ok((calls, move || Results::new(result)))
}

impl Call for Shipped {
    type Answer = Answer;

    async fn call(&self, event: &Event) -> Result<Answer, CallError> {
        match self {
            Self::Http { call, reader } => reader.read(&call.exchange(event).await?),
            Self::Cpu(call) => call.call(event).await.map(|()| Answer::None),
        }
    }
}

impl BlockingCall for Shipped {
    type Answer = Answer;

    fn call_blocking(&self, event: &Event) -> Result<Answer, CallError> {
        match self {
            Self::Http { call, reader } => reader.read(&call.exchange_blocking(event)?),
            Self::Cpu(call) => call.call_blocking(event).map(|()| Answer::None),
        }
    }
}

impl Work for Calls {
    type Answer = Answer;

    fn into_forms(self) -> Forms<Answer> {
        let forms = Both(self.call).into_forms();
        match self.repeatable {
            true => forms,
            false => forms.unrepeatable(),
        }
    }
}
