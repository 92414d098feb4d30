//! Lists that are answered one page at a time.

use crate::store::Store;
use crate::store::pages::List;

const LARGEST_PAGE: i32 = 60;

/// How many entries a page has: as many as asked for; if no number or 0 is given, as many as fit.
pub fn page_size(asked: Option<i32>) -> i64 {
    i64::from(asked.filter(|size| *size > 0).unwrap_or(LARGEST_PAGE))
}

/// Makes a page. One entry more than its size was read, if there was one: it shows whether the list goes on. Returns
/// the entries, and the token of the next page.
pub fn page<T>(
    store: &Store,
    list: List<'_>,
    mut entries: Vec<T>,
    size: i64,
    key: impl FnOnce(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let goes_on = entries.len() as i64 > size;
    entries.truncate(usize::try_from(size).unwrap_or(0));
    let token = entries.last().filter(|_| goes_on).map(|last| store.page_token(list, &key(last)));
    (entries, token)
}
