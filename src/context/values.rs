//! The values of a context: a list that grows at the front and shares its tails.

use alloc::sync::Arc;
use core::any::Any;

/// A list, the latest value first.
#[derive(Clone, Default)]
pub(super) struct Values(Option<Arc<dyn Link>>);

struct Entry<T> {
    value: T,
    next: Values,
}

/// An entry of any type.
trait Link: Send + Sync {
    fn value(&self) -> &dyn Any;
    fn next(&self) -> &Values;
    /// Drops one reference to the entry. If it was the last, what the entry had of the next is the caller's.
    fn release(self: Arc<Self>) -> Values;
}

impl<T: Send + Sync + 'static> Link for Entry<T> {
    fn value(&self) -> &dyn Any {
        &self.value
    }
    fn next(&self) -> &Values {
        &self.next
    }
    fn release(self: Arc<Self>) -> Values {
        // Of several that release the entry at the same time one gets it: with `get_mut` none might.
        Arc::into_inner(self).map_or(Values::NONE, |entry| entry.next)
    }
}

impl Values {
    pub(super) const NONE: Self = Self(None);

    /// The list with one value more. One allocation.
    pub(super) fn with<T: Send + Sync + 'static>(&self, value: T) -> Self {
        Self(Some(Arc::new(Entry { value, next: self.clone() })))
    }

    /// The latest value of this type.
    pub(super) fn get<T: 'static>(&self) -> Option<&T> {
        let mut values = self;
        while let Some(entry) = &values.0 {
            if let Some(value) = entry.value().downcast_ref() {
                return Some(value);
            }
            values = entry.next();
        }
        None
    }
}

/// Iterative: a list of a million costs no stack.
impl Drop for Values {
    fn drop(&mut self) {
        while let Some(entry) = self.0.take() {
            *self = entry.release();
        }
    }
}
