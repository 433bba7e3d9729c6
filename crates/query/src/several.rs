//! The tables of several families as one list.

use std::sync::Arc;

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;
use ports::query::{Filter, Page, Table, Tables, View};

/// One behind the other. Names must differ, and a column of one name must have one kind in all of them.
///
/// Each sees one moment; the moments lie as close together as opening takes.
pub struct Several(pub Vec<Arc<dyn Tables>>);

impl Tables for Several {
    fn tables(&self) -> Vec<Table> {
        self.0.iter().flat_map(|one| one.tables()).collect()
    }

    fn open(&self) -> Result<Box<dyn View>> {
        let open = |one: &Arc<dyn Tables>| Ok((one.tables().len(), one.open()?));
        let views = self.0.iter().map(open).collect::<Result<_>>()?;
        Ok(Box::new(Views(views)))
    }
}

/// With how many tables each has.
struct Views(Vec<(usize, Box<dyn View>)>);

#[async_trait]
impl View for Views {
    async fn scan(&self, mut table: usize, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
        for (tables, view) in &self.0 {
            match table.checked_sub(*tables) {
                Some(further) => table = further,
                None => return view.scan(table, filter, after).await,
            }
        }
        Ok(Page::default())
    }

    fn now(&self) -> u64 {
        let times = self.0.iter().map(|(_, view)| view.now());
        times.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use ports::query::{Column, Form, Kind, Row, Sql, Value};
    use serde_json::json;

    use super::*;
    use crate::Engine;

    /// Tables of one row each, which has the table's name.
    #[derive(Clone)]
    struct Named(&'static [&'static str], u64);

    struct Name(&'static str);

    impl Row for Name {
        fn value(&self, _column: usize) -> Value {
            Value::Text(self.0.into())
        }

        fn number(&self) -> u64 {
            0
        }
    }

    impl Tables for Named {
        fn tables(&self) -> Vec<Table> {
            let column = Column {
                name: "name",
                kind: Kind::Text,
                narrows: None,
            };
            let table = |name: &&'static str| Table {
                name,
                columns: vec![column],
            };
            self.0.iter().map(table).collect()
        }

        fn open(&self) -> Result<Box<dyn View>> {
            Ok(Box::new(self.clone()))
        }
    }

    #[async_trait]
    impl View for Named {
        async fn scan(&self, table: usize, _filter: &Filter, _after: Option<&Bytes>) -> Result<Page> {
            Ok(Page {
                rows: vec![Box::new(Name(self.0[table]))],
                next: None,
            })
        }

        fn now(&self) -> u64 {
            self.1
        }
    }

    #[tokio::test]
    async fn each_table_is_asked_of_who_has_it() {
        let parts: Vec<Arc<dyn Tables>> = vec![
            Arc::new(Named(&["a", "b"], 3)),
            Arc::new(Named(&[], 7)),
            Arc::new(Named(&["c"], 5)),
        ];
        let several = Several(parts);
        let view = several.open().expect("nothing can fail");
        assert_eq!(view.now(), 7);
        let nowhere = view.scan(3, &Filter::default(), None).await;
        assert!(nowhere.expect("an empty page").rows.is_empty());
        let query = "SELECT a.name AS a, b.name AS b, c.name AS c FROM a, b, c";
        let answer = Engine::over(Arc::new(several)).ask(query.into(), Form::Json);
        let answer: serde_json::Value =
            serde_json::from_slice(&answer.await.expect("an answer")).expect("JSON");
        assert_eq!(answer["rows"], json!([{"a": "a", "b": "b", "c": "c"}]));
    }
}
