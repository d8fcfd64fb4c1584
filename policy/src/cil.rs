//! A reader of the part of CIL that this policy is written in.
