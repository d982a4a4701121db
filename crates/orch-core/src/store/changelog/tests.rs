//! Who is woken, who is passed over, and what trimming takes away.
