//! A request and its answer, with what every answer must be checked on the way.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use crate::live::LiveEvents;

/// A request in the making.
pub struct Ask(reqwest::RequestBuilder);

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Ask {
    pub(crate) fn new(request: reqwest::RequestBuilder) -> Self {
        Self(request)
    }

    /// Presents an API key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        Self(self.0.bearer_auth(key))
    }

    /// Sets a header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// Sends bytes of a media type.
    #[must_use]
    pub fn body(self, media_type: &str, bytes: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header(CONTENT_TYPE, media_type).body(bytes))
    }

    /// Sends it and reads the answer, which must be a problem when it is a refusal.
    pub async fn send(self) -> Answer {
        let response = self.0.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("the answer is complete");
        let answer = Answer { status, headers, text };
        answer.check();
        answer
    }

    /// Sends it and leaves reading the answer, which must not be a refusal, to the caller.
    pub async fn begin(self) -> reqwest::Response {
        let response = self.0.send().await.expect("the server answers");
        assert!(response.status().is_success(), "{}", response.status());
        response
    }

    /// Sends it and follows the stream that answers.
    pub async fn follow(self) -> LiveEvents {
        let response = self.0.send().await.expect("the server answers");
        assert_eq!(response.status().as_u16(), 200, "a stream answers 200");
        LiveEvents::new(response)
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text))
    }

    /// The problem's stable code.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The wrong fields: pointer and code, sorted.
    pub fn fields(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let problem = self.json();
        let listed = problem["errors"].as_array().cloned().unwrap_or_default();
        let mut fields: Vec<_> = listed.iter().map(|field| (text(&field["pointer"]), text(&field["code"]))).collect();
        fields.sort();
        fields
    }

    /// A header's value; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails unless the status is this.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// What holds for every answer.
    fn check(&self) {
        assert!(!self.header("x-request-id").is_empty(), "every answer names its request: {self:?}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "every answer has the security headers: {self:?}");
        if self.status < 400 || self.text.is_empty() {
            return;
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "every refusal is a problem: {self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for member in ["type", "title", "detail", "instance", "code"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing in {problem}");
        }
    }
}
