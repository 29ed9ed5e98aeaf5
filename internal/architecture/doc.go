// Package architecture holds nothing but a test: that packages import each other
// only in the directions that docs/design.md shows.
package architecture
