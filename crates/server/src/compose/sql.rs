//! SQL over the tables of all families, where it is built in. The admin API of the Restate family asks it.

use std::sync::Arc;

use api_restate::Admin;
use ports::query::Tables;

#[cfg(feature = "sql")]
pub(super) fn answered(admin: Admin, tables: Vec<Arc<dyn Tables>>) -> Admin {
    let engine = query::Engine::over(Arc::new(query::Several(tables)));
    admin.with_sql(Arc::new(engine))
}

#[cfg(not(feature = "sql"))]
pub(super) fn answered(admin: Admin, _tables: Vec<Arc<dyn Tables>>) -> Admin {
    admin
}
