use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// Counts the writes that reach the stream.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn connection(room: usize) -> (Gather<Counted>, DuplexStream, Arc<AtomicUsize>) {
    let (client, server) = duplex(room);
    let writes = Arc::new(AtomicUsize::new(0));
    (Gather::new(Counted(server, Arc::clone(&writes))), client, writes)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 % 251) as u8).collect()
}

#[tokio::test]
async fn what_is_written_in_a_turn_is_sent_at_once() {
    let (gather, mut client, writes) = connection(1 << 20);
    let mut io = gather.clone();
    let served = std::pin::pin!(async move {
        for part in bytes(6000).chunks(600) {
            io.write_all(part).await.unwrap();
            io.flush().await.unwrap();
        }
    });
    gather.turns(served).await;
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    let mut got = vec![0; 6000];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes(6000));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_writer_up_and_misses_nothing() {
    // Room for less than is collected, and for less than one write.
    for room in [100, 5000, 100_000] {
        let (gather, mut client, _) = connection(room);
        let mut io = gather.clone();
        let sizes = [1, 300, 20_000, 70_000, 16_393, 16_393, 16_393, 16_393, 200_000, 9];
        let all = bytes(sizes.iter().sum());
        let sent = all.clone();
        let writer = tokio::spawn(async move {
            let served = std::pin::pin!(async move {
                let mut rest = &sent[..];
                for size in sizes {
                    let (part, after) = rest.split_at(size);
                    io.write_all(part).await.unwrap();
                    io.flush().await.unwrap();
                    rest = after;
                }
            });
            gather.turns(served).await;
            gather.finish().await.unwrap();
        });
        tokio::task::yield_now().await;
        assert!(room > COLLECTED_MAX || !writer.is_finished());
        let mut got = vec![0; all.len()];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, all, "room for {room}");
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn outside_of_turns_a_flush_sends() {
    let (gather, mut client, writes) = connection(1 << 10);
    let mut io = gather.clone();
    io.write_all(b"at once").await.unwrap();
    io.flush().await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    let mut got = [0; 7];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"at once");
}

/// The fault: the future waits for something else and never learns that its client is gone.
#[tokio::test]
async fn a_turn_that_cannot_be_sent_is_told() {
    let (gather, client, _) = connection(1 << 10);
    drop(client);
    let mut io = gather.clone();
    let served = std::pin::pin!(async move {
        io.write_all(b"lost").await.unwrap();
        tokio::task::yield_now().await;
        io.flush().await.unwrap_err().kind()
    });
    assert_eq!(gather.turns(served).await, io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn shutting_down_sends_what_is_left() {
    let (gather, mut client, _) = connection(1 << 10);
    let mut io = gather.clone();
    let served = std::pin::pin!(async move {
        io.write_all(b"the end").await.unwrap();
        io.shutdown().await.unwrap();
    });
    gather.turns(served).await;
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"the end");
}
