//! Objects of tenants in backups: copied once, beside those who put and delete them, and read back with the records that name them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use steward_fabric::blob::{Expect, Key, whole};
use steward_store::{ListQuery, Store};
use steward_work::backup::{self, Manifest};

use crate::place::{Backed, Place, UPLOADS, copies, create, refused, write};
use crate::support::Trace;

fn text(number: i64) -> String {
    format!("the text of upload {number}").repeat(number as usize % 50 + 1)
}

async fn numbers(store: &Store, ctx: &steward_base::Ctx) -> Vec<i64> {
    let mut query = ListQuery { kind: "trace".to_owned(), limit: 500, ..ListQuery::default() };
    let mut numbers = Vec::new();
    loop {
        let page = store.list(ctx, query.clone()).await.expect("lists");
        numbers.extend(page.records.iter().map(|record| record.decode::<Trace>().expect("is one").number));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return numbers,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_comes_back_with_the_object_that_it_names() {
    let Backed { place, folder: _folder, backups, ctx } = Backed::new().await;
    let ends = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, objects, ctx, ends) = (place.store.clone(), place.objects.clone(), ctx.clone(), ends.clone());
        async move {
            for number in 0.. {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                // First the object, then who names it, as uploads are.
                let key = Key::new(ctx.tenant(), UPLOADS, &format!("upload-{number}")).expect("a key");
                objects.put(&key, whole(text(number)), Expect::default()).await.expect("is put");
                write(&store, &ctx, number).await;
            }
        }
    });
    let mut made: Vec<Manifest> = Vec::new();
    for _ in 0..3 {
        let before = place.store.head(&ctx).await.expect("reads");
        place.store.watch(ctx.tenant()).wait_for(|position| *position > before + 20).await.expect("goes on");
        made.push(create(&place, &backups, &ctx).await);
    }
    ends.store(true, Ordering::Release);
    writer.await.expect("no panic");
    for made in &made {
        assert_eq!(
            backup::verify(&backups, made).await.expect("holds").objects,
            made.tenant(ctx.tenant()).expect("is in it").objects.len() as u64
        );
        let other = Place::new().await;
        backup::restore_tenant(other.all(), &backups, made, ctx.tenant()).await.expect("restores");
        let found: BTreeMap<String, String> = other.objects(ctx.tenant()).await.into_iter().collect();
        let named = numbers(&other.store, &ctx).await;
        assert!(named.len() > 20);
        for number in named {
            assert_eq!(found.get(&format!("upload-{number}")), Some(&text(number)), "{number}");
        }
        other.store.close().await;
    }
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_copied_once_and_each_backup_has_those_of_its_time() {
    let Backed { place, folder, backups, ctx } = Backed::new().await;
    let tenant = ctx.tenant();
    write(&place.store, &ctx, 1).await;
    for (name, text) in [("changes", "as it was"), ("goes", "what goes"), ("stays", "what stays"), ("twin", "what stays")] {
        place.put(tenant, name, text).await;
    }
    let first = create(&place, &backups, &ctx).await;
    assert_eq!(copies(&folder, "backup-objects").len(), 3, "one content is one copy");
    place.delete(tenant, "goes").await;
    place.put(tenant, "changes", "as it became").await;
    place.put(tenant, "comes", "what came").await;
    let second = create(&place, &backups, &ctx).await;
    assert_eq!(second.tenant(tenant).expect("is in it").parts.len(), 1, "nothing happened among the records");
    assert_eq!(copies(&folder, "backup-objects").len(), 5, "what stays is not copied again");
    assert_eq!(
        create(&place, &backups, &ctx).await.tenant(tenant).expect("is in it").objects,
        second.tenant(tenant).expect("is in it").objects
    );
    assert_eq!(copies(&folder, "backup-objects").len(), 5);
    assert_eq!(backup::verify(&backups, &second).await.expect("holds").objects, 4);
    // Erasing the tenant takes nothing from the backups.
    place.objects.erase(tenant.into()).await.expect("erases");
    backups.erase(tenant.into()).await.expect("erases");

    let all = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<Vec<_>>();
    let was = all(&[("changes", "as it was"), ("goes", "what goes"), ("stays", "what stays"), ("twin", "what stays")]);
    let became = all(&[("changes", "as it became"), ("comes", "what came"), ("stays", "what stays"), ("twin", "what stays")]);
    for (made, objects) in [(&first, was), (&second, became)] {
        let other = Place::new().await;
        backup::restore_tenant(other.all(), &backups, made, tenant).await.expect("restores");
        assert_eq!(other.objects(tenant).await, objects);
        // What was restored is known by what it holds.
        create(&other, &backups, &ctx).await;
        assert_eq!(copies(&folder, "backup-objects").len(), 5);
        other.store.close().await;
    }
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_missing_or_torn_is_found_and_nothing_is_restored() {
    let Backed { place, folder, backups, ctx } = Backed::new().await;
    write(&place.store, &ctx, 1).await;
    place.put(ctx.tenant(), "first", "what is there before").await;
    let made = create(&place, &backups, &ctx).await;
    place.put(ctx.tenant(), "second", "what is looked at").await;
    let made = [made, create(&place, &backups, &ctx).await];
    let second = made[1].tenant(ctx.tenant()).expect("is in it").objects.iter().find(|object| object.name == "second").expect("is in it");
    let copy =
        copies(&folder, "backup-objects").into_iter().find(|path| path.to_string_lossy().ends_with(&second.sha256)).expect("is there");
    let assert_found = async |code: &str, what: &str| {
        for error in refused(&backups, &made[1], ctx.tenant()).await {
            assert_eq!(error.code(), code, "{what}");
            assert!(error.detail().contains("uploads/second") && error.detail().contains(&ctx.tenant().to_string()), "{}", error.detail());
        }
        backup::verify(&backups, &made[0]).await.expect("the one before holds");
    };
    let whole = std::fs::read(&copy).expect("is a file");
    std::fs::write(&copy, &whole[..whole.len() - 1]).expect("is written");
    assert_found("backup_damaged", "torn").await;
    std::fs::write(&copy, [&whole[1..], b"!"].concat()).expect("is written");
    assert_found("backup_damaged", "changed").await;
    std::fs::remove_file(&copy).expect("is removed");
    assert_found("backup_missing", "missing").await;
    place.store.close().await;
}
