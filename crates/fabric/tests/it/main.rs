//! Keys, objects, mail and cache through their public interface, each variant against the real thing.

mod blob;
mod blob_disk;
mod blob_faults;
mod blob_kill;
mod bucket;
mod cache;
mod kv;
mod kv_faults;
mod mail;
mod platters;
mod ports;
mod power;
mod redis_server;
mod small_disk;
mod support;
mod traced;
