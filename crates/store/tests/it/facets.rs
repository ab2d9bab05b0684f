//! Facets: values with counts, over lists, in bounds.

use serde_json::{Value, json};
use steward_store::{FacetQuery, Facets, UnitOfWork};

use crate::support::{Bench, Place, Thing, filter, on_each};

async fn facets(bench: &Bench, text: Option<&str>, fields: &[&str], values: usize) -> Result<Facets, &'static str> {
    let filter = text.map(|text| filter(&bench.store, "thing", text));
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    let query = FacetQuery { kind: "thing".into(), filter, fields, values };
    bench.store.facets(&bench.ctx, query).await.map_err(|error| error.code())
}

fn told(facets: &Facets) -> Vec<(Value, u64)> {
    facets.fields[0].values.iter().map(|known| (known.value.clone(), known.count)).collect()
}

#[tokio::test]
async fn values_are_counted_per_record() {
    on_each(async |bench| {
        let mut unit = UnitOfWork::new();
        for number in 0..12 {
            let tags = ["all", if number % 3 == 0 { "third" } else { "other" }, "all"];
            let thing = Thing {
                tags: tags.map(str::to_owned).to_vec(),
                size: (number < 9).then_some(number % 2),
                active: Some(number == 0),
                ..Thing::named(&format!("Thing {number:02}"))
            };
            unit = unit.create(bench.store.mint_id(), &thing);
        }
        bench.store.commit(&bench.ctx, unit).await.expect("creates");
        let found = facets(bench, None, &["tags", "size", "active", "place.room"], 0).await.expect("counts");
        assert_eq!(told(&found), [(json!("all"), 12), (json!("other"), 8), (json!("third"), 4)]);
        assert_eq!((found.fields[1].missing, found.fields[1].values.len(), found.fields[3].missing), (3, 2, 12));
        assert_eq!(found.fields[2].values[0], steward_store::FacetValue { value: json!(false), count: 11 });
        let some = facets(bench, Some("tags:third size = 0"), &["size"], 0).await.expect("counts");
        assert_eq!((told(&some), some.fields[0].missing, some.approximate), (vec![(json!(0), 2)], 0, false));
        let spelt = |name: &str| Thing { place: Place { room: Some(name.into()), shelf: None }, ..Thing::named("Thing 99") };
        let unit =
            ["Cellar", "cellar", "Attic"].iter().fold(UnitOfWork::new(), |unit, room| unit.create(bench.store.mint_id(), &spelt(room)));
        bench.store.commit(&bench.ctx, unit).await.expect("creates");
        for text in [None, Some("name:*")] {
            let rooms = facets(bench, text, &["place.room"], 0).await.expect("counts");
            let counts: Vec<(String, u64)> = told(&rooms).iter().map(|(room, count)| (room.to_string().to_lowercase(), *count)).collect();
            assert_eq!((counts, rooms.fields[0].missing), (vec![("\"cellar\"".into(), 2), ("\"attic\"".into(), 1)], 12), "{text:?}");
        }
        let few = facets(bench, None, &["name"], 2).await.expect("counts");
        assert_eq!((told(&few), few.fields[0].others), (vec![(json!("Thing 99"), 3), (json!("Thing 00"), 1)], 11));
        for field in ["serial", "pin", "nothing"] {
            assert_eq!(facets(bench, None, &[field], 0).await, Err("facet_unknown"));
        }
        assert_eq!(facets(bench, None, &["size"; 11], 0).await, Err("too_many_facets"));
    })
    .await;
}

#[tokio::test]
async fn more_than_twenty_thousand_rows_are_not_counted_exactly() {
    on_each(async |bench| {
        for _ in 0..21 {
            let unit = (0..1_000).fold(UnitOfWork::new(), |unit, number| {
                unit.create(
                    bench.store.mint_id(),
                    &Thing { size: Some(number % 5), active: (number == 0).then_some(true), ..Thing::named("x") },
                )
            });
            bench.store.commit(&bench.ctx, unit).await.expect("creates");
        }
        let rows = facets(bench, Some("size >= 0"), &["size"], 0).await.expect("counts");
        assert_eq!((rows.approximate, rows.fields[0].values.iter().map(|known| known.count).sum::<u64>()), (true, 20_000));
        let all = facets(bench, None, &["size"], 0).await.expect("counts");
        assert_eq!((all.approximate, told(&all)), (false, (0..5).map(|size| (json!(size), 4_200)).collect()), "the index knows them all");
        let few = facets(bench, Some("active = true"), &["size"], 0).await.expect("an index leads to them");
        assert_eq!((few.approximate, told(&few)), (false, vec![(json!(0), 21)]));
    })
    .await;
}
