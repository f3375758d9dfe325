//! Bad input: whatever bytes, texts and values come in, they are taken or refused; nothing panics, hangs or grows
//! without bound. And what is taken obeys the laws of its sort.

mod bodies;
mod choices;
mod patches;
mod quantities;
mod three_way;
mod words;
