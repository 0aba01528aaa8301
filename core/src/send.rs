//! One send: which queue, how often, how long. Pure, and owned by whoever waits for it.

pub mod accumulate;
mod choose;
mod error;
mod faults;
mod hook;
mod op;
mod parcel;
mod policy;
mod receipt;

pub use choose::{Selector, Target, attempt_deadline, index_of, next_queue};
pub use error::SendError;
pub use faults::FaultTable;
pub use hook::{SendContext, SendHook};
pub use op::{Attempt, SendOp, SendStep};
pub use parcel::Parcel;
pub use policy::{RETRY_CODES, SendPolicy};
pub use receipt::{BatchReceipt, Receipt, StoreStatus, StoredBatch};
