//! Real containers on this machine: needs root and Debian's `busybox-static`.

mod basics;
mod exec;
mod isolation;
mod life;
mod node;
mod purge;
mod shared_images;
mod streams;
