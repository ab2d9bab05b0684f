//! The way to PostgreSQL: encrypted and verified, or refused with a word on what to do.

use steward_base::{Clock, Error, Random, Secret};
use steward_store::{Backend, MasterKey, Options, Store};

use crate::support::{Thing, bench_on, kinds, postgres_url};

/// The server's address without parameters, and the file of its certificate.
#[expect(clippy::disallowed_methods, reason = "tests are told by the script that runs them")]
fn server() -> Option<(String, String)> {
    let url = postgres_url()?;
    let address = url.split_once('?').map_or(url.clone(), |(address, _)| address.to_owned());
    Some((address, std::env::var("STEWARD_TEST_POSTGRES_CERTIFICATE").expect("comes with the server")))
}

fn backend(url: String) -> Backend {
    Backend::Postgres { url: Secret::new(url), connections: 4 }
}

async fn refused(url: String) -> Error {
    let opened =
        Store::open(Options { backend: backend(url), master: MasterKey::new([7; 32]) }, kinds(), Clock::system(), Random::system()).await;
    opened.map(|_| ()).expect_err("is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_named_authority_is_believed() {
    let Some((address, certificate)) = server() else { return };
    for mode in ["require", "verify-ca", "verify-full"] {
        let bench = bench_on(backend(format!("{address}?sslmode={mode}&sslrootcert={certificate}")), "postgres", None).await;
        let id = bench.store.mint_id();
        let unit = steward_store::UnitOfWork::new().create(id, &Thing::named(mode));
        bench.store.commit(&bench.ctx, unit).await.expect("commits");
        bench.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_says_so() {
    let Some((address, _)) = server() else { return };
    for query in ["", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-full&sslrootcert=system"] {
        let error = refused(format!("{address}{query}")).await;
        assert_eq!(error.code(), "database_certificate", "{query}: {error}");
        assert!(error.detail().contains("sslrootcert"), "{}", error.detail());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    let Some((address, certificate)) = server() else { return };
    let error = refused(format!("{}?sslmode=require&sslrootcert={certificate}", address.replace("127.0.0.1", "localhost"))).await;
    assert_eq!(error.code(), "database_certificate", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_cannot_be_read_is_named() {
    let Some((address, _)) = server() else { return };
    for path in ["/nowhere/ca.pem", "/dev/null"] {
        let error = refused(format!("{address}?sslrootcert={path}")).await;
        assert_eq!(error.code(), "database_url");
        assert!(error.detail().contains(path), "{}", error.detail());
    }
}
