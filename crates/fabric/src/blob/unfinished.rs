//! Uploads in parts that nobody completed: a process that ended in the middle of a put leaves them in its bucket, with what was sent, and no list
//! of objects tells of them.

use std::sync::Arc;

use http::{Method, StatusCode};
use object_store::aws::{AmazonS3, AwsAuthorizer, AwsCredential};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{ClientOptions, Error as StoreError};
use serde::Deserialize;
use steward_base::{Error, Result};
use url::Url;

use super::door::Door;
use super::s3::{Addressing, Bucket};

/// Asks for what the library has no call for: which uploads are unfinished.
#[derive(Debug)]
pub(super) struct Unfinished {
    client: HttpClient,
    store: Arc<AmazonS3>,
    address: Url,
    region: String,
    credential: AwsCredential,
}

/// A page of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
    upload: Vec<Upload>,
}

/// An upload that was begun and neither completed nor taken back.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) upload_id: String,
}

impl Unfinished {
    pub(super) fn new(bucket: &Bucket, store: Arc<AmazonS3>, options: &ClientOptions) -> Result<Self, StoreError> {
        let Bucket { name, region, .. } = bucket;
        let address = match (&bucket.endpoint, bucket.addressing) {
            // As the library has it: then the endpoint names the bucket.
            (Some(endpoint), Addressing::VirtualHost) => endpoint.clone(),
            (Some(endpoint), Addressing::Path) => format!("{}/{name}", endpoint.trim_end_matches('/')),
            (None, Addressing::VirtualHost) => format!("https://{name}.s3.{region}.amazonaws.com"),
            (None, Addressing::Path) => format!("https://s3.{region}.amazonaws.com/{name}"),
        };
        let credential =
            AwsCredential { key_id: bucket.access_key_id.clone(), secret_key: bucket.secret_access_key.expose().clone(), token: None };
        let address = Url::parse(&address).map_err(generic)?;
        Ok(Self { client: ReqwestConnector::default().connect(options)?, store, address, region: region.clone(), credential })
    }

    /// The unfinished uploads whose keys begin with `prefix`. A server that has no such list is left to its own rules.
    pub(super) async fn list(&self, door: &Door, prefix: &str) -> Result<Vec<Upload>> {
        let mut uploads = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let Some(page) = door.step(self.page(prefix, after.as_ref())).await? else {
                tracing::warn!(prefix, "the bucket's server cannot tell which uploads are unfinished: its own rules must sweep them");
                return Ok(uploads);
            };
            uploads.extend(page.upload);
            if !page.is_truncated {
                return Ok(uploads);
            }
            after = Some((page.next_key_marker, page.next_upload_id_marker));
        }
    }

    /// Takes one back. One that was completed or taken back meanwhile is not there any more.
    pub(super) async fn abort(&self, door: &Door, Upload { key, upload_id }: &Upload) -> Result<()> {
        let path = Path::parse(key).map_err(Error::internal)?;
        door.step(self.store.abort_multipart(&path, upload_id)).await.map(drop)
    }

    /// `NotFound` where the server does not know the request.
    async fn page(&self, prefix: &str, after: Option<&(String, String)>) -> Result<Listed, StoreError> {
        let mut url = self.address.clone();
        url.query_pairs_mut().append_pair("uploads", "").append_pair("prefix", prefix);
        if let Some((key, upload)) = after {
            url.query_pairs_mut().append_pair("key-marker", key).append_pair("upload-id-marker", upload);
        }
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.as_str().parse().map_err(generic)?;
        AwsAuthorizer::new(&self.credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let response = self.client.execute(request).await.map_err(generic)?;
        let status = response.status();
        let path = self.address.to_string();
        match status {
            StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED => {
                Err(StoreError::NotFound { path, source: status.to_string().into() })
            }
            StatusCode::FORBIDDEN => Err(StoreError::PermissionDenied { path, source: status.to_string().into() }),
            StatusCode::UNAUTHORIZED => Err(StoreError::Unauthenticated { path, source: status.to_string().into() }),
            status if status.is_success() => {
                let body = response.into_body().bytes().await.map_err(generic)?;
                quick_xml::de::from_reader(&*body).map_err(generic)
            }
            status => Err(generic(status.to_string())),
        }
    }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Generic { store: "S3", source: source.into() }
}
