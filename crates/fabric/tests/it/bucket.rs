//! A real S3 server on loopback, which can be stopped, started again, made slow and made to fail.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use steward_base::{Clock, Secret};
use steward_fabric::blob::{Addressing, Blob, Bucket};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[path = "unfinished_uploads.rs"]
mod unfinished_uploads;

use unfinished_uploads::{Tracked, Uploads};

const NAME: &str = "steward-test";
const USER: &str = "somebody";
pub(crate) const PASSWORD: &str = "0123456789-secret";

/// How the server answers.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Mood {
    Well,
    /// Takes requests and never answers.
    Silent,
    /// Answers 500 to everything.
    Broken,
    /// Breaks connections off in the middle of what it sends.
    Cutting,
}

/// The server; it ends with this.
pub(crate) struct BucketServer {
    dir: tempfile::TempDir,
    port: u16,
    mood: Arc<AtomicU8>,
    pub(crate) requests: Arc<AtomicUsize>,
    /// Requests with this in their address wait.
    stalled: Arc<watch::Sender<Option<String>>>,
    uploads: Uploads,
    serving: Option<tokio::task::JoinHandle<()>>,
}

impl BucketServer {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join(NAME)).expect("makes the bucket");
        let mut server = Self {
            dir,
            port: crate::ports::own(),
            mood: Arc::default(),
            requests: Arc::default(),
            stalled: Arc::default(),
            uploads: Arc::default(),
            serving: None,
        };
        server.start_again().await;
        server
    }

    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("binds");
        let files = s3s_fs::FileSystem::new(self.dir.path()).expect("a folder");
        let mut builder = S3ServiceBuilder::new(Tracked { files, uploads: self.uploads.clone() });
        builder.set_auth(SimpleAuth::from_single(USER, PASSWORD));
        let (service, mood, requests) = (builder.build(), self.mood.clone(), self.requests.clone());
        let stalled = self.stalled.clone();
        self.serving = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("accepts");
                connections.spawn(serve(stream, service.clone(), (mood.clone(), stalled.clone()), requests.clone()));
            }
        }));
    }

    /// Stops it; connections break.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    pub(crate) fn turn(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Lets requests with this in their address wait, until [`BucketServer::go_on`].
    pub(crate) fn stall(&self, address: &str) {
        self.stalled.send_replace(Some(address.to_owned()));
    }

    pub(crate) fn go_on(&self) {
        self.stalled.send_replace(None);
    }

    /// Where it keeps the bucket.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Keys of the uploads that are unfinished.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.uploads.lock().expect("is whole").iter().map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn bucket(&self, patience: Duration) -> Bucket {
        Bucket {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            name: NAME.to_owned(),
            region: "us-east-1".to_owned(),
            access_key_id: USER.to_owned(),
            secret_access_key: Secret::new(PASSWORD.to_owned()),
            addressing: Addressing::Path,
            authority: None,
            patience,
        }
    }

    pub(crate) fn blob(&self) -> Blob {
        Blob::s3(&self.bucket(Duration::from_secs(20)), Clock::system()).expect("settings")
    }

    /// One that gives up soon.
    pub(crate) fn impatient(&self) -> Blob {
        Blob::s3(&self.bucket(Duration::from_millis(300)), Clock::system()).expect("settings")
    }
}

impl Drop for BucketServer {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

type Sent = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, io::Error>;

async fn serve(
    stream: TcpStream,
    service: S3Service,
    (mood, stalled): (Arc<AtomicU8>, Arc<watch::Sender<Option<String>>>),
    requests: Arc<AtomicUsize>,
) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, mood, requests, mut stalled) = (service.clone(), mood.clone(), requests.clone(), stalled.subscribe());
        async move {
            requests.fetch_add(1, Ordering::SeqCst);
            let address = request.uri().to_string();
            // Its sender lives as long as this does.
            let _ = stalled.wait_for(|part| part.as_ref().is_none_or(|part| !address.contains(part))).await;
            let mood = mood.load(Ordering::SeqCst);
            if mood == Mood::Silent as u8 {
                return std::future::pending().await;
            }
            if mood == Mood::Broken as u8 {
                let empty = http_body_util::Empty::new().map_err(|never| match never {});
                let mut response: Response<Sent> = Response::new(empty.boxed_unsync());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(response);
            }
            let answered = hyper::service::Service::call(&service, request).await;
            let response = answered.map_err(|error| io::Error::other(format!("{error:?}")))?;
            Ok::<_, io::Error>(response.map(|body| {
                let body = BodyExt::map_err(body, |error| io::Error::other(format!("{error:?}")));
                if mood == Mood::Cutting as u8 { cut(body).boxed_unsync() } else { body.boxed_unsync() }
            }))
        }
    });
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
}

/// A body that breaks off after its first frame.
fn cut<B>(body: B) -> impl hyper::body::Body<Data = bytes::Bytes, Error = io::Error> + Send
where
    B: hyper::body::Body<Data = bytes::Bytes, Error = io::Error> + Send + 'static,
{
    use futures_util::StreamExt as _;
    let frames = http_body_util::BodyStream::new(body).take(1).chain(futures_util::stream::once(async { Err(io::Error::other("cut")) }));
    http_body_util::StreamBody::new(frames)
}
