//! The byte stream under a connection, watched.
//!
//! fe2o3-amqp 0.18 leaves some operations waiting for ever when the peer dies: a
//! send in flight when the broker is killed does not return. Here the end of the
//! stream itself is noticed, so that every operation can race it; and the stream
//! can be cut from this side, so that a peer that hangs does not keep a task and a
//! socket for ever.

use std::{
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{oneshot, watch},
};

use super::nesting::Guard;

type Ended = Option<String>;

/// The stream as it is given to the protocol engine.
#[derive(Debug)]
pub(super) struct Wire<Io> {
    io: Io,
    /// Taken once it has fired: a oneshot must not be polled again.
    cut: Option<oneshot::Receiver<()>>,
    ended: watch::Sender<Ended>,
    guard: Guard,
}

/// The other end: sees the end of the stream, and can bring it about.
#[derive(Debug)]
pub(super) struct Lifeline {
    cut: Mutex<Option<oneshot::Sender<()>>>,
    ended: watch::Receiver<Ended>,
}

pub(super) fn watched<Io>(io: Io) -> (Wire<Io>, Lifeline) {
    let (cut_tx, cut_rx) = oneshot::channel();
    let (ended_tx, ended_rx) = watch::channel(None);
    (
        Wire { io, cut: Some(cut_rx), ended: ended_tx, guard: Guard::new() },
        Lifeline { cut: Mutex::new(Some(cut_tx)), ended: ended_rx },
    )
}

impl<Io> Wire<Io> {
    fn end(&self, reason: impl FnOnce() -> String) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(reason());
            }
            first
        });
    }

    /// Fails once the stream was cut. Also wakes the task when that happens.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let fired = match &mut self.cut {
            None => true,
            Some(cut) => Pin::new(cut).poll_is_ready(cx),
        };
        if fired {
            self.cut = None;
            self.end(|| "cut by this side".to_owned());
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "connection cut by this side"));
        }
        Ok(())
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.end(|| error.to_string());
        }
        result
    }
}

trait PollIsReady {
    fn poll_is_ready(self, cx: &mut Context<'_>) -> bool;
}

impl<F: Future> PollIsReady for Pin<&mut F> {
    fn poll_is_ready(self, cx: &mut Context<'_>) -> bool {
        self.poll(cx).is_ready()
    }
}

impl<Io> Drop for Wire<Io> {
    fn drop(&mut self) {
        self.end(|| "given up by this side: the peer was silent for too long or broke the protocol".to_owned());
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Wire<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut this.io).poll_read(cx, buf));
        this.guard.filter(&mut buf.filled_mut()[before..]);
        if result.is_ok() && buf.filled().len() == before && buf.remaining() > 0 {
            this.end(|| "the peer closed the TCP connection".to_owned());
        }
        Poll::Ready(this.noted(result))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Wire<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        let result = ready!(Pin::new(&mut this.io).poll_write(cx, buf));
        Poll::Ready(this.noted(result))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        let result = ready!(Pin::new(&mut this.io).poll_flush(cx));
        Poll::Ready(this.noted(result))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl Lifeline {
    /// Waits for the end of the stream and says why it ended.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "connection is over".to_owned(),
        }
    }

    /// Why the stream ended, if it has.
    pub(super) fn end_reason(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Cuts the stream now.
    pub(super) fn cut(&self) {
        if let Some(cut) = self.take() {
            let _ = cut.send(());
        }
    }

    /// Leaves the engine some time to say good-bye, then cuts.
    pub(super) fn cut_after(&self, grace: Duration) {
        let Some(cut) = self.take() else { return };
        // Without a runtime there is no engine either; dropping the sender cuts.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(grace).await;
                let _ = cut.send(());
            });
        }
    }

    fn take(&self) -> Option<oneshot::Sender<()>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn the_peers_end_is_seen() {
        let (near, far) = tokio::io::duplex(64);
        let (mut wire, lifeline) = watched(near);
        assert_eq!(lifeline.end_reason(), None);
        drop(far);
        assert_eq!(wire.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(lifeline.ended().await, "the peer closed the TCP connection");
    }

    #[tokio::test]
    async fn a_cut_wakes_a_waiting_reader_and_fails_everything_after() {
        let (near, _far) = tokio::io::duplex(64);
        let (mut wire, lifeline) = watched(near);
        let reader = tokio::spawn(async move {
            let read = wire.read(&mut [0; 8]).await;
            let write = wire.write(b"x").await;
            (read, write)
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        lifeline.cut();
        let (read, write) = reader.await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(write.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(lifeline.ended().await, "cut by this side");
    }

    #[tokio::test]
    async fn bytes_pass_unchanged() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut wire, _lifeline) = watched(near);
        wire.write_all(b"ping").await.unwrap();
        let mut buf = [0; 4];
        far.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"ping");
        far.write_all(b"pong").await.unwrap();
        wire.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"pong");
    }

    #[tokio::test]
    async fn the_end_of_the_engine_is_an_end() {
        let (near, _far) = tokio::io::duplex(64);
        let (wire, lifeline) = watched(near);
        drop(wire);
        assert!(lifeline.ended().await.contains("silent for too long"));
    }
}
