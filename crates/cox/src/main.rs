//! cox
fn main(){}
