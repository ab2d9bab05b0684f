//! A connection between a store and its data role that loses answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Served;

/// What happens to the connections between a store and its data role.
#[derive(Default)]
pub(crate) struct Wire {
    /// The next answers are lost after the request arrived.
    pub(crate) lose: AtomicUsize,
    /// The last commit as it was sent.
    pub(crate) heard: Mutex<Vec<u8>>,
    /// The answer to the next question of this method is lost.
    pub(crate) lose_of: Mutex<Option<&'static str>>,
}

/// Stands between a store and its data role, and loses answers when it is told to.
pub(crate) async fn between(served: &Served, wire: Arc<Wire>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let url = format!("http://{}", listener.local_addr().expect("is bound"));
    let to = served.url.strip_prefix("http://").expect("is plain").to_owned();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (wire, far) = (wire.clone(), TcpStream::connect(&to).await.expect("connects"));
            tokio::spawn(pass(wire, near, far));
        }
    });
    url
}

async fn pass(wire: Arc<Wire>, near: TcpStream, far: TcpStream) {
    let ((mut from, mut to), (mut back_from, mut back_to)) = (near.into_split(), far.into_split());
    let lost = AtomicBool::new(false);
    let asked = async {
        let (mut buffer, mut commits) = (vec![0; 64 * 1024], false);
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let sent = &buffer[..read];
            commits = if sent.starts_with(b"POST ") { sent.starts_with(b"POST /data/v1/commit ") } else { commits };
            if commits {
                let mut heard = wire.heard.lock();
                if sent.starts_with(b"POST ") {
                    heard.clear();
                }
                heard.extend_from_slice(sent);
            }
            let is_it = |method: &mut &str| sent.starts_with(format!("POST /data/v1/{method} ").as_bytes());
            if wire.lose_of.lock().take_if(is_it).is_some() {
                lost.store(true, Ordering::SeqCst);
            }
            if back_to.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    let answered = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = back_from.read(&mut buffer).await {
            let lose = wire.lose.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            // Both ends are dropped: the answer is gone.
            if lose || lost.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = asked => {}
        () = answered => {}
    }
}
