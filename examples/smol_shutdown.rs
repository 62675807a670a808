//! A server on smol that shuts down without breaking off an answer.
//!
//! `shutdown` is its token, and each connection has a child of it. While a connection waits for its next request, the
//! token ends the wait; a request that has come is answered first. The server is done when its last connection is.

use cancel_tree::CancellationToken;
use smol::channel::{Receiver, Sender, bounded};
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use smol::net::{TcpListener, TcpStream};
use std::io;

/// What it takes to make a report: here, a word from `main`, so that it can be seen what happens meanwhile.
#[derive(Clone)]
struct Archive {
    asked: Sender<()>,
    found: Receiver<&'static str>,
}

/// Serves until it is shut down. The number of requests that were answered.
async fn serve(listener: TcpListener, shutdown: CancellationToken, archive: Archive) -> io::Result<usize> {
    let mut connections = Vec::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, _) = accepted?;
        connections.push(smol::spawn(converse(stream, shutdown.child_token(), archive.clone())));
    }
    // From here on, who connects is refused.
    drop(listener);
    println!("server: shutting down with {} connections", connections.len());
    let mut answered = 0;
    for connection in connections {
        answered += connection.await?;
    }
    Ok(answered)
}

/// Answers the requests of one connection, a line each.
async fn converse(stream: TcpStream, stop: CancellationToken, archive: Archive) -> io::Result<usize> {
    let (mut requests, mut answers) = (BufReader::new(stream.clone()), stream);
    let mut answered = 0;
    loop {
        let mut request = String::new();
        match stop.run_until_cancelled(requests.read_line(&mut request)).await.transpose()? {
            // Shut down; or closed by the client.
            None | Some(0) => return Ok(answered),
            Some(_) => {}
        }
        // Not under the token: what has been asked is answered.
        let answer = match request.trim_end() {
            "report" => {
                archive.asked.send(()).await.expect("main listens");
                archive.found.recv().await.expect("main answers")
            }
            _ => "hello",
        };
        answers.write_all(format!("{answer}\n").as_bytes()).await?;
        answered += 1;
    }
}

async fn ask(client: &mut BufReader<TcpStream>, request: &str) -> io::Result<()> {
    client.get_mut().write_all(format!("{request}\n").as_bytes()).await
}

async fn hear(client: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut answer = String::new();
    client.read_line(&mut answer).await?;
    Ok(answer)
}

fn main() -> io::Result<()> {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (asked, request) = bounded(1);
        let (answer, found) = bounded(1);
        let shutdown = CancellationToken::new();
        let server = smol::spawn(serve(listener, shutdown.clone(), Archive { asked, found }));

        let mut idle = BufReader::new(TcpStream::connect(address).await?);
        let mut busy = BufReader::new(TcpStream::connect(address).await?);
        for client in [&mut idle, &mut busy] {
            ask(client, "hello").await?;
            assert_eq!(hear(client).await?, "hello\n");
        }

        // The one has asked for a report, the other for nothing, when the server is told to shut down.
        ask(&mut busy, "report").await?;
        request.recv().await.expect("the server asks the archive");
        shutdown.cancel();

        assert_eq!(idle.read(&mut [0]).await?, 0);
        println!("the idle client's connection was closed at once");

        answer.send("all is well").await.expect("the server waits for the archive");
        assert_eq!(hear(&mut busy).await?, "all is well\n");
        assert_eq!(busy.read(&mut [0]).await?, 0);
        println!("the busy client got its report, and was closed then");

        assert_eq!(server.await?, 3);
        assert!(TcpStream::connect(address).await.is_err());
        println!("the server answered 3 requests, left none open, and takes no more");
        Ok(())
    })
}
