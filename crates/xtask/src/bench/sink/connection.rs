//! One connection of a sender.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

const READ_BYTES: usize = 16 << 10;

/// A socket with what was read and not yet understood, and what was said and not yet taken.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether the output waits for the socket.
    pub(super) blocked: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: Vec::with_capacity(READ_BYTES),
            output: Vec::new(),
            blocked: false,
        })
    }

    /// Reads what there is; false if the other side has ended.
    pub(super) fn fill(&mut self) -> std::io::Result<bool> {
        loop {
            let begins = self.input.len();
            self.input.resize(begins + READ_BYTES, 0);
            let read = self.stream.read(&mut self.input[begins..]);
            self.input
                .truncate(begins + read.as_ref().copied().unwrap_or_default());
            match read {
                Ok(0) => return Ok(false),
                Ok(READ_BYTES) => {}
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What was read and not yet taken.
    pub(super) fn input(&self) -> &[u8] {
        &self.input
    }

    /// Takes so many bytes from the beginning.
    pub(super) fn take(&mut self, bytes: usize) {
        self.input.drain(..bytes);
    }

    /// Says this when the socket next takes something.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Gives the socket what it takes; whether anything is left.
    pub(super) fn flush(&mut self) -> std::io::Result<bool> {
        let mut written = 0;
        while written < self.output.len() {
            match self.stream.write(&self.output[written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.drain(..written);
        Ok(!self.output.is_empty())
    }
}
