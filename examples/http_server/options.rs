//! The command line.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Answers HTTP requests on the loopback interface with what SQLite says.

Usage: http_server [OPTIONS]

      --port PORT        listen on this port (8080; 0 chooses a free one)
      --timeout SECONDS  break a request off after this time (5)
      --grace SECONDS    what runs has this long to end after Ctrl-C (10)
      --self-test        start servers on free ports, send them requests, and say what became of each
  -h, --help             print this

  GET /fast              a query that takes no time
  GET /slow?rows=N       one that counts to N, and can take for ever
  GET /status            what runs now

SECONDS may have a fraction. The first Ctrl-C stops taking connections, the second one ends the grace
period, the third one the process.

Exit status: 0 if all went well, 1 if not, 2 if it could not begin.
";

pub(crate) enum Command {
    Serve { port: u16, timeout: Duration, grace: Duration },
    SelfTest,
    Help,
}

impl Command {
    /// What the program's arguments ask for, or what is wrong with them.
    pub(crate) fn from_args() -> Result<Self, String> {
        let (mut port, mut timeout, mut grace) = (8080, Duration::from_secs(5), Duration::from_secs(10));
        let mut self_test = false;

        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next().map_err(|error| error.to_string())? {
            match argument {
                Long("port") => port = value(&mut arguments)?.parse().map_err(|error| format!("--port: {error}"))?,
                Long("timeout") => timeout = seconds("--timeout", &value(&mut arguments)?)?,
                Long("grace") => grace = seconds("--grace", &value(&mut arguments)?)?,
                Long("self-test") => self_test = true,
                Short('h') | Long("help") => return Ok(Self::Help),
                unexpected => return Err(unexpected.unexpected().to_string()),
            }
        }
        Ok(if self_test { Self::SelfTest } else { Self::Serve { port, timeout, grace } })
    }
}

fn value(arguments: &mut lexopt::Parser) -> Result<OsString, String> {
    arguments.value().map_err(|error| error.to_string())
}

fn seconds(option: &str, text: &OsString) -> Result<Duration, String> {
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let seconds = seconds.ok_or_else(|| format!("{option}: {text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{option}: {text:?}: {error}"))
}
