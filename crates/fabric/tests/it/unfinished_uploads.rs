//! The bucket's server with one more request than its library knows: which uploads are unfinished.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

/// So few on one page that a list has several.
const PAGE: usize = 2;

/// Key and id of every upload that was begun and neither completed nor taken back.
pub(crate) type Uploads = Arc<Mutex<BTreeSet<(String, String)>>>;

pub(super) struct Tracked {
    pub(super) files: FileSystem,
    pub(super) uploads: Uploads,
}

impl Tracked {
    /// The library says instead that it is forbidden.
    fn unfinished(&self, key: &str, id: &str) -> S3Result<()> {
        let known = self.uploads.lock().expect("is whole").contains(&(key.to_owned(), id.to_owned()));
        if known { Ok(()) } else { Err(s3_error!(NoSuchUpload)) }
    }

    fn ended(&self, key: &str, id: &str) {
        self.uploads.lock().expect("is whole").remove(&(key.to_owned(), id.to_owned()));
    }
}

#[async_trait::async_trait]
impl S3 for Tracked {
    async fn list_multipart_uploads(&self, req: S3Request<ListMultipartUploadsInput>) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let after = (req.input.key_marker.unwrap_or_default(), req.input.upload_id_marker.unwrap_or_default());
        let uploads = self.uploads.lock().expect("is whole");
        let mut found = uploads.iter().filter(|upload| **upload > after && upload.0.starts_with(&prefix));
        let page: Vec<_> = found.by_ref().take(PAGE).cloned().collect();
        let last = page.last().cloned().filter(|_| found.next().is_some());
        let (next_key_marker, next_upload_id_marker) = last.unzip();
        let upload = |(key, id)| MultipartUpload { key: Some(key), upload_id: Some(id), ..MultipartUpload::default() };
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(req.input.bucket),
            is_truncated: Some(next_key_marker.is_some()),
            next_key_marker,
            next_upload_id_marker,
            uploads: Some(page.into_iter().map(upload).collect()),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let made = self.files.create_multipart_upload(req).await?;
        if let (Some(key), Some(id)) = (&made.output.key, &made.output.upload_id) {
            self.uploads.lock().expect("is whole").insert((key.clone(), id.clone()));
        }
        Ok(made)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (key, id) = (req.input.key.clone(), req.input.upload_id.clone());
        self.unfinished(&key, &id)?;
        let done = self.files.complete_multipart_upload(req).await?;
        self.ended(&key, &id);
        Ok(done)
    }

    async fn abort_multipart_upload(&self, req: S3Request<AbortMultipartUploadInput>) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let (key, id) = (req.input.key.clone(), req.input.upload_id.clone());
        self.unfinished(&key, &id)?;
        let done = self.files.abort_multipart_upload(req).await?;
        self.ended(&key, &id);
        Ok(done)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.unfinished(&req.input.key, &req.input.upload_id)?;
        self.files.upload_part(req).await
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.files.put_object(req).await
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.files.get_object(req).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.files.head_object(req).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.files.delete_object(req).await
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.files.delete_objects(req).await
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(req).await
    }
}
