//! The little of PostgreSQL's protocol that asking a question over loopback with trust authentication needs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

const PROTOCOL_3: i32 = 196_608;
/// Far above any answer wanted here; a length beyond it means that we misread the stream.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A row as text; NULL is `None`.
pub type Row = Vec<Option<String>>;

/// A connection as the superuser of a throw-away server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects to the server on this loopback port as `postgres`, to that database.
    pub fn open(port: u16, database: &str) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut connection = Self { stream };
        connection.stream.write_all(&startup(database)?)?;
        connection.until_ready()?;
        Ok(connection)
    }

    /// Waits this long for an answer, instead of half a minute.
    pub fn wait_up_to(&self, time: Duration) -> anyhow::Result<()> {
        Ok(self.stream.set_read_timeout(Some(time))?)
    }

    /// Runs SQL text and returns the rows of all its statements.
    pub fn query(&mut self, sql: &str) -> anyhow::Result<Vec<Row>> {
        let mut message = vec![b'Q'];
        message.extend(i32::try_from(sql.len() + 5)?.to_be_bytes());
        message.extend(sql.as_bytes());
        message.push(0);
        self.stream.write_all(&message)?;
        self.until_ready()
    }

    fn until_ready(&mut self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut problem: Option<String> = None;
        loop {
            let (kind, body) = match (self.message(), problem) {
                // Many errors end the connection; what the server said tells more than that it is gone.
                (Err(_), Some(problem)) => bail!("{problem}"),
                (message, before) => {
                    problem = before;
                    message?
                }
            };
            match kind {
                b'R' if body != [0; 4] => bail!("the server wants a password; a throw-away server does not"),
                b'D' => rows.push(row(&body).context("malformed row")?),
                b'E' if problem.is_some() => {}
                b'E' => {
                    let (code, text) = error(&body);
                    problem = Some(format!("{text} ({code})"));
                }
                b'Z' => return problem.map_or(Ok(rows), |text| Err(anyhow::anyhow!(text))),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length))?;
        if !(4..MAX_MESSAGE_BYTES).contains(&length) {
            bail!("not a PostgreSQL server: a message of {length} bytes");
        }
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.stream.write_all(&[b'X', 0, 0, 0, 4]);
    }
}

fn startup(database: &str) -> anyhow::Result<Vec<u8>> {
    let parameters = format!("user\0postgres\0database\0{database}\0\0");
    let mut message = i32::try_from(parameters.len() + 8)?.to_be_bytes().to_vec();
    message.extend(PROTOCOL_3.to_be_bytes());
    message.extend(parameters.as_bytes());
    Ok(message)
}

fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Row::new();
    for _ in 0..i16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        row.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => None, // -1
            Ok(length) => {
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            }
        });
    }
    Some(row)
}

/// SQLSTATE and text of an error message.
fn error(body: &[u8]) -> (String, String) {
    let field = |wanted: u8| {
        body.split(|byte| *byte == 0)
            .find_map(|field| field.strip_prefix(&[wanted]))
            .map_or_else(String::new, |text| String::from_utf8_lossy(text).into_owned())
    };
    (field(b'C'), field(b'M'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_nulls() {
        let body = [0, 2, 0, 0, 0, 1, b'7', 0xff, 0xff, 0xff, 0xff];
        assert_eq!(row(&body), Some(vec![Some("7".to_owned()), None]));
        assert_eq!(row(&[0, 1, 0, 0, 0, 9, b'x']), None);
    }

    #[test]
    fn errors_carry_code_and_text() {
        let body = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0";
        assert_eq!(
            error(body),
            (
                "57P03".to_owned(),
                "the database system is starting up".to_owned()
            )
        );
    }

    #[test]
    fn the_startup_message_knows_its_length() {
        let message = startup("postgres").unwrap();
        assert_eq!(message[..4], i32::try_from(message.len()).unwrap().to_be_bytes());
    }
}
