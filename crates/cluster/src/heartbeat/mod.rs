//! Who is alive, by datagrams between nodes.
