//! `steward serve`: from settings to a server that is ready, and from SIGTERM to one that has let go of everything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use steward_base::{Error, ErrorKind, Result, Secret};
use steward_observe::Observe;
use steward_telemetry::Telemetry;
use steward_web::health::Need;
use steward_web::{Limits, Rates, Serving, Settings, Site, Version};
use steward_work::ImportRows;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::config::Config;
use crate::split::Door;
use crate::trail::Trail;
use crate::{addresses, admin, backup, logs, memory, roles, split, tls, watch};

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) async fn serve(config: Config) -> Result<()> {
    logs::start(&config)?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let detail = format!("{} cannot be listened on: {error}. Choose another address with --listen.", config.listen);
        Error::new(ErrorKind::Unavailable, "listen_failed", detail)
    })?;
    let listen = listener.local_addr().map_err(Error::internal)?;
    let door = Door::open(&config).await?;
    let app = App::open(&config, &public_url(&config, listen)).await?;
    let telemetry = app.telemetry().await?.clone();
    let site = site(&config, &app)?;
    let observe = Observe::new(app.store().clone(), telemetry.clone());
    let backups = backup::of_itself(&app, &telemetry);
    let work = roles::work(&app, &telemetry, backups.clone());
    let operations = roles::operations(&app, &observe, &work);
    let work = work.with(ImportRows::new(operations.imports(&site)));
    let router = operations.router(&site);
    add_health(&site, &app, &telemetry);
    if !config.places.is_empty() {
        add_health_of_places(&site, &app);
    }
    app.fabric().watch_over(&site);
    let seen = backups.clone();
    site.metrics().add(Arc::new(move |out| seen.render(out)));

    let (access, entries) = steward_web::access_log();
    site.keep_access(access);
    let trail = Trail::open(&config, &app).await?;
    let worker = work.start().await?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(app.fleet().clone().run(stop.child_token()));
    tasks.spawn(admin::serve(admin::listen(&config.data_dir)?, app.clone(), stop.child_token()));
    tasks.spawn(observe.clone().keep_access(entries, stop.child_token()));
    tasks.spawn(trail.clone().run(Duration::from_secs(config.audit_interval_seconds.into()), stop.child_token()));
    tasks.spawn(backups.watch(stop.child_token()));
    tasks.spawn(memory::give_back(stop.child_token()));
    if let Some(door) = door {
        tasks.spawn(door.serve(app.store().clone(), split::key(&config, app.master())?, stop.child_token()));
    }
    if config.watch {
        tasks.spawn(watch::run(app.clone(), own_url(&config, listen), config.data_dir.join("agent"), stop.child_token()));
    }
    if config.demo {
        tasks.spawn(watch::demo(app.clone(), stop.child_token()));
    }
    let stopped = stopped();
    announce(&app, listen).await?;
    let serving = Serving {
        tls: tls::load(&config)?,
        connections: config.connections as usize,
        connections_per_address: config.connections_per_address as usize,
        drain_time: Duration::from_secs(config.drain_seconds.into()),
        ..Serving::default()
    };
    steward_web::serve(listener, router, &site, serving, stopped).await;

    tracing::info!("the server stops: waiting for its tasks, then flushing");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    worker.stop(Duration::from_secs(config.drain_seconds.into())).await;
    telemetry.close().await?;
    trail.sign().await;
    app.store().close().await;
    Ok(())
}

/// Where clients reach the server: the setting, or the best address of the one listened on.
pub(crate) fn public_url(config: &Config, listen: SocketAddr) -> String {
    if !config.public_url.is_empty() {
        return config.public_url.clone();
    }
    let scheme = if config.tls() { "https" } else { "http" };
    let address = addresses::reachable(listen).into_iter().next().unwrap_or(listen);
    format!("{scheme}://{address}")
}

/// Where this machine's own agent reaches the server: loopback, where plain HTTP is allowed, unless TLS wants the public name.
fn own_url(config: &Config, listen: SocketAddr) -> String {
    if config.tls() || !(listen.ip().is_loopback() || listen.ip().is_unspecified()) {
        return public_url(config, listen);
    }
    let loopback = match listen {
        SocketAddr::V4(_) => "127.0.0.1",
        SocketAddr::V6(_) => "[::1]",
    };
    format!("http://{loopback}:{}", listen.port())
}

fn site(config: &Config, app: &App) -> Result<Site> {
    let settings = Settings {
        public_url: app.public_url().parse().map_err(Error::internal)?,
        origins: Vec::new(),
        trusted_proxies: config.trusted_proxies.clone(),
        cursor_key: Secret::new(app.master().derive("cursors")),
        version: Version { version: roles::VERSION.to_owned(), commit: None },
        limits: Limits {
            import_bytes: u64::from(config.import_max_mb) << 20,
            imports_bytes: u64::from(config.import_waiting_mb) << 20,
            ..Limits::default()
        },
        rates: rates(config),
        blob: app.fabric().blob.clone(),
        cache: app.fabric().cache.clone(),
    };
    Ok(Site::new(settings, app.authority().clone(), app.clock().clone(), app.random().clone()))
}

fn rates(config: &Config) -> Rates {
    Rates {
        read: config.rate_limit_read,
        write: config.rate_limit_write,
        ingest: config.rate_limit_ingest,
        stream: config.rate_limit_stream,
        credential: config.rate_limit_credential,
        refused: config.rate_limit_refused,
        tenant_factor: config.rate_limit_tenant_factor,
    }
}

fn add_health(site: &Site, app: &App, telemetry: &Telemetry) {
    let store = app.store().clone();
    site.health().add("records", Need::Always, move || {
        let store = store.clone();
        async move { store.health().await }
    });
    let telemetry = telemetry.clone();
    site.health().add("telemetry", Need::Always, move || {
        let telemetry = telemetry.clone();
        async move {
            let health = telemetry.health();
            match health.ingest.or(health.upkeep) {
                None => Ok(()),
                Some(why) => {
                    // The causes are for the log; anybody may ask for readiness.
                    tracing::warn!(error.message = why, "telemetry is not ready");
                    let detail = "Telemetry cannot be written: the disk may be full or failing. The server's log says more.";
                    Err(Error::new(ErrorKind::Unavailable, "telemetry_failing", detail))
                }
            }
        }
    });
}

/// Tenants elsewhere are served while a place is away.
fn add_health_of_places(site: &Site, app: &App) {
    let store = app.store().clone();
    site.health().add("places", Need::Sometimes, move || {
        let store = store.clone();
        async move { store.health_elsewhere().await }
    });
}

/// Says on stdout that the server is ready, and on stderr what a person needs next.
async fn announce(app: &App, listen: SocketAddr) -> Result<()> {
    let others = addresses::reachable(listen).into_iter().map(|address| address.to_string()).collect::<Vec<_>>().join(", ");
    eprintln!("Steward {} serves {} (listening on {others}).", roles::VERSION, app.public_url());
    if app.identity().set_up_open().await? {
        eprintln!(
            "Nobody owns this installation yet. Open this link within an hour to become its owner:\n\n    {}\n",
            app.set_up_link().await?
        );
    }
    println!("ready {}", app.public_url());
    Ok(())
}

/// Ends with the first SIGTERM or SIGINT from now on: called before the server says that it is ready, so that none is missed.
pub(crate) fn stopped() -> impl Future<Output = ()> {
    let mut terminate = signal(SignalKind::terminate()).expect("a runtime with signals is running");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a runtime with signals is running");
    async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
