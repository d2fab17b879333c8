//! Gives values another type on their way to the broker.
//!
//! fe2o3-amqp cannot put lists and arrays into the application properties, since the specification allows simple values only.
//! The broker takes them all the same, so tests have to send them. A short list, a short array and a short binary differ in
//! one byte, the first.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// First bytes of encoded values.
pub mod code {
    /// A binary of less than 256 bytes.
    pub const BINARY: u8 = 0xa0;
    /// A list of less than 256 bytes.
    pub const LIST: u8 = 0xc0;
    /// An array of less than 256 bytes.
    pub const ARRAY: u8 = 0xe0;
    /// 64 bits with sign.
    pub const LONG: u8 = 0x81;
    /// Text of less than 256 bytes.
    pub const STRING: u8 = 0xa1;
}

/// Which values are of another type than they say.
#[derive(Debug, Clone, Default)]
pub struct Retyping(Arc<Mutex<Vec<Another>>>);

/// A type, and the content of those that are of it.
type Another = (u8, Vec<u8>);

impl Retyping {
    /// From now on, a binary with this content is sent as another type. Returns the content.
    pub fn add(&self, code: u8, content: Vec<u8>) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((code, content.clone()));
        content
    }

    fn apply(&self, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        for (code, content) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let Ok(length) = u8::try_from(content.len()) else { continue };
            let binary: Vec<u8> = [code::BINARY, length].into_iter().chain(content.iter().copied()).collect();
            let found: Vec<usize> =
                frame.windows(binary.len()).enumerate().filter(|(_, w)| *w == binary).map(|(at, _)| at).collect();
            for at in found {
                frame[at] = *code;
            }
        }
        frame
    }
}

/// A stream that sends by such a list.
#[derive(Debug)]
pub struct Retyped<Io> {
    io: Io,
    retyping: Retyping,
}

impl<Io> Retyped<Io> {
    /// Wraps a stream.
    pub fn new(io: Io, retyping: Retyping) -> Self {
        Self { io, retyping }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Retyped<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Retyped<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let frame = self.retyping.apply(buf);
        Pin::new(&mut self.io).poll_write(cx, &frame)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
