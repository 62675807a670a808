//! Servers, clients that do all sorts of things to them, and what becomes of it.

use crate::PATIENCE;
use crate::client::Client;
use crate::database::Database;
use crate::log::{Ended, Entry, What};
use crate::server::{Server, Settings};
use async_signal::Signals;
use cancel_tree::snapshot::TreeSnapshot;
use smol::channel::{Receiver, unbounded};
use smol::net::TcpListener;
use smol::{Timer, future};
use std::fmt::Display;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A time that passes while a test waits.
const SHORT: Duration = Duration::from_millis(300);
/// Ends by an interrupt or, after centuries, by itself.
const ENDLESS: &str = "/slow?rows=9223372036854775807";

type Result<T> = std::result::Result<T, String>;

/// One line of the table.
struct Row {
    client: &'static str,
    answer: String,
    query: String,
}

/// The log of a server, to wait for what is to come in it.
struct Events {
    entries: Receiver<Entry>,
    seen: Vec<Entry>,
}

/// Whether all went as it should.
pub(crate) async fn run(signals: &mut Signals) -> bool {
    let mut rows = Vec::new();
    let result = test(signals, &mut rows).await;
    print(&rows);
    match result {
        Ok(()) => println!("ok"),
        Err(error) => {
            println!("FAILED: {error}");
            return false;
        }
    }
    true
}

async fn test(signals: &mut Signals, rows: &mut Vec<Row>) -> Result<()> {
    let settings = Settings { timeout: PATIENCE, grace: PATIENCE, farewell: PATIENCE };
    let left = with_server(settings, signals, async |address, events| patient(address, events, rows).await).await?;
    ensure(left.is_none(), "the grace period was too short")?;

    let settings = Settings { timeout: SHORT, grace: PATIENCE, farewell: PATIENCE };
    let left = with_server(settings, signals, async |address, events| hasty(address, events, rows).await).await?;
    ensure(left.is_none(), "the grace period was too short")?;

    let settings = Settings { timeout: PATIENCE, grace: SHORT, farewell: PATIENCE };
    let left = with_server(settings, signals, async |address, events| severe(address, events, rows).await).await?;
    let left = left.ok_or("an endless query has ended")?;
    // Whatever the grace period did to `grace`: below a connection there is the request.
    let request = left.tokens().iter().find(|token| token.name().is_some_and(|name| name.contains(ENDLESS)));
    let request = request.ok_or_else(|| format!("the query is missing in what was left:\n{left}"))?;
    ensure(
        request.depth() == 2 && !request.is_cancelled(),
        format_args!("the query stands in the wrong place:\n{left}"),
    )
}

fn print(rows: &[Row]) {
    let title = Row { client: "client", answer: "answer".into(), query: "query".into() };
    let rows = || iter::once(&title).chain(rows);
    let width = |column: fn(&Row) -> &str| rows().map(|row| column(row).chars().count()).max().unwrap_or_default();
    let (client, answer) = (width(|row| row.client), width(|row| &row.answer));
    for row in rows() {
        println!("{:client$}  {:answer$}  {}", row.client, row.answer, row.query);
    }
}

/// With all the time that they need.
async fn patient(address: SocketAddr, events: &mut Events, rows: &mut Vec<Row>) -> Result<()> {
    let mut idle = Client::connect(address).await.map_err(text)?;
    idle.ask("/fast").await.map_err(text)?;
    let answer = answered(&mut idle, 200).await?;
    rows.push(Row { client: "asks for /fast", answer, query: finished(events.ended(1).await?)? });

    let mut client = Client::connect(address).await.map_err(text)?;
    client.ask(ENDLESS).await.map_err(text)?;
    events.querying(2).await?;
    drop(client);
    events.next("the end of the client", 2, |what| matches!(what, What::HungUp).then_some(())).await?;
    let query = interrupted(events.ended(2).await?)?;
    rows.push(Row { client: "hangs up in the middle of a query", answer: "-".into(), query });

    let mut client = Client::connect(address).await.map_err(text)?;
    client.ask(ENDLESS).await.map_err(text)?;
    events.querying(3).await?;
    client.finish().map_err(text)?;
    let answer = closed(&mut client).await?;
    let query = interrupted(events.ended(3).await?)?;
    rows.push(Row { client: "closes its side and waits", answer, query });

    // There is one connection to the database. The first of these has it, and the second one waits for it.
    let mut first = Client::connect(address).await.map_err(text)?;
    first.ask(ENDLESS).await.map_err(text)?;
    events.querying(4).await?;
    let mut second = Client::connect(address).await.map_err(text)?;
    second.ask("/slow?rows=1000").await.map_err(text)?;
    events.next("a request", 5, |what| matches!(what, What::Asked { .. }).then_some(())).await?;
    interrupt();
    let answer = closed(&mut idle).await?;
    rows.push(Row { client: "is idle when the server is stopped", answer, query: "-".into() });
    drop(first);
    let query = interrupted(events.ended(4).await?)?;
    rows.push(Row { client: "hangs up in the grace period", answer: "-".into(), query });
    let answer = answered(&mut second, 200).await?;
    closed(&mut second).await?;
    let query = finished(events.ended(5).await?)?;
    rows.push(Row { client: "is answered in the grace period", answer, query });
    Ok(())
}

/// With a short time for each request.
async fn hasty(address: SocketAddr, events: &mut Events, rows: &mut Vec<Row>) -> Result<()> {
    let mut client = Client::connect(address).await.map_err(text)?;
    let mut request = 1;
    let (answer, query) = loop {
        client.ask(ENDLESS).await.map_err(text)?;
        let answer = answered(&mut client, 504).await?;
        match events.ended(request).await? {
            // The machine is so busy that the time was over before there was a query.
            Ended::NotBegun { .. } if request < 100 => request += 1,
            ended => break (answer, interrupted(ended)?),
        }
    };
    rows.push(Row { client: "runs into its deadline", answer, query });
    interrupt();
    closed(&mut client).await.map(drop)
}

/// With a short time to end.
async fn severe(address: SocketAddr, events: &mut Events, rows: &mut Vec<Row>) -> Result<()> {
    let mut client = Client::connect(address).await.map_err(text)?;
    client.ask(ENDLESS).await.map_err(text)?;
    events.querying(1).await?;
    interrupt();
    let answer = answered(&mut client, 503).await?;
    ensure(answer.contains("SIGINT"), format_args!("{answer}: the cause is missing"))?;
    closed(&mut client).await?;
    rows.push(Row { client: "is cut off after the grace period", answer, query: interrupted(events.ended(1).await?)? });
    Ok(())
}

/// Starts a server, lets the clients at it, and sees to it that nothing is left. They are to stop it.
async fn with_server(
    settings: Settings,
    signals: &mut Signals,
    clients: impl AsyncFnOnce(SocketAddr, &mut Events) -> Result<()>,
) -> Result<Option<TreeSnapshot>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    let (log, entries) = unbounded();
    let server = Arc::new(Server::new(settings, Database::open(1).await.map_err(text)?, log));

    let mut events = Events { entries, seen: Vec::new() };
    let serve = within("the end of the server", PATIENCE * 10, server.clone().serve(listener, signals));
    let (left, ()) = future::try_zip(serve, clients(address, &mut events)).await?;

    // No task has it any more.
    let Some(server) = Arc::into_inner(server) else { return Err("a task is left".into()) };
    ensure(server.is_idle(), "a connection, a request or a query is left")?;
    drop(server);
    ensure(events.entries.is_closed(), "a query is left")?;
    Ok(left)
}

impl Events {
    /// What `pick` takes of what happened or happens to a request.
    async fn next<T>(&mut self, name: &str, request: usize, pick: impl Fn(&What) -> Option<T>) -> Result<T> {
        for at in 0.. {
            if at == self.seen.len() {
                let entry = within(name, PATIENCE, self.entries.recv()).await?;
                self.seen.push(entry.map_err(|_| format!("request {request}: {name} did not come"))?);
            }
            if self.seen[at].request == request {
                if let Some(picked) = pick(&self.seen[at].what) {
                    return Ok(picked);
                }
            }
        }
        unreachable!("there are not as many")
    }

    async fn querying(&mut self, request: usize) -> Result<()> {
        self.next("a query", request, |what| matches!(what, What::Querying).then_some(())).await
    }

    /// How a query has ended.
    async fn ended(&mut self, request: usize) -> Result<Ended> {
        let ended = |what: &What| if let What::Queried(ended) = what { Some(ended.clone()) } else { None };
        self.next("the end of a query", request, ended).await
    }
}

fn finished(ended: Ended) -> Result<String> {
    ensure(matches!(ended, Ended::Finished), format_args!("a query was {ended}"))?;
    Ok(ended.to_string())
}

fn interrupted(ended: Ended) -> Result<String> {
    let in_time = matches!(ended, Ended::Interrupted { after, .. } if after < PATIENCE);
    ensure(in_time, format_args!("a query was {ended}"))?;
    Ok(ended.to_string())
}

async fn answered(client: &mut Client, status: u16) -> Result<String> {
    let answer = within("an answer", PATIENCE, client.answer()).await?.map_err(text)?.ok_or("there was no answer")?;
    let text = format!("{} {}", answer.status, answer.text);
    ensure(answer.status == status, format_args!("{text}, and not {status}"))?;
    Ok(text)
}

/// The server is to close the connection, and say nothing before.
async fn closed(client: &mut Client) -> Result<String> {
    match within("the end of a connection", PATIENCE, client.answer()).await? {
        Ok(None) => Ok("closed".into()),
        Ok(Some(answer)) => Err(format!("an answer that was not asked for: {} {}", answer.status, answer.text)),
        Err(error) => Err(error.to_string()),
    }
}

/// Ctrl-C.
fn interrupt() {
    // SAFETY: it reads and writes no memory of ours; there is a handler, and a handler may run here.
    unsafe { libc::raise(libc::SIGINT) };
}

async fn within<T>(name: &str, patience: Duration, future: impl Future<Output = T>) -> Result<T> {
    let late = async {
        Timer::after(patience).await;
        Err(format!("{name} did not come in {patience:?}"))
    };
    future::or(async { Ok(future.await) }, late).await
}

fn ensure(well: bool, otherwise: impl Display) -> Result<()> {
    if well { Ok(()) } else { Err(otherwise.to_string()) }
}

fn text(error: impl Display) -> String {
    error.to_string()
}
