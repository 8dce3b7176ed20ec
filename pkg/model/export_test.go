package model

// Repeatable is a row of the table of nodes that repeat.
type Repeatable = repeatable

// Repeatables is that table.
var Repeatables = repeatables[:]
