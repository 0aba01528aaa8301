//! One send: which queue, how often, how long. Pure, and owned by whoever waits for it.

mod error;
mod op;
mod parcel;
mod policy;
mod receipt;

pub use error::SendError;
pub use op::{Attempt, SendOp, SendStep};
pub use parcel::Parcel;
pub use policy::SendPolicy;
pub use receipt::{Receipt, StoreStatus};
