//! A client for the self-test, which can do what well-bred ones do not.

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::str;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, unread: Vec::new() })
    }

    pub(crate) async fn ask(&mut self, target: &str) -> io::Result<()> {
        self.stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await
    }

    /// The next answer; none if the server closes the connection instead.
    pub(crate) async fn answer(&mut self) -> io::Result<Option<Answer>> {
        loop {
            if let Some((answer, length)) = parse(&self.unread)? {
                self.unread.drain(..length);
                return Ok(Some(answer));
            }
            let mut bytes = [0; 1024];
            match self.stream.read(&mut bytes).await? {
                0 if self.unread.is_empty() => return Ok(None),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => self.unread.extend(&bytes[..length]),
            }
        }
    }

    /// Says that nothing more will be asked.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

/// An answer, and how long it is, if all of it is there. (Those of this server say their length.)
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let text = str::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let Some((head, text)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let (Some(status), Some(Ok(length))) = (status, length.map(str::parse::<usize>)) else {
        return Err(io::Error::new(ErrorKind::InvalidData, head));
    };
    let Some(text) = text.get(..length) else { return Ok(None) };
    Ok(Some((Answer { status, text: text.trim_end().into() }, head.len() + 4 + length)))
}
