//! Tables of cases for the plan and the status.
