//! What Java wrote, read by us; what we write, read by Java; what real servers and clients said, read and written back.

mod bodies;
mod captures;
mod frames;
mod java;
mod splits;
mod support;
mod tables;
