//go:build !amd64

package cfbsha1

// haveStitched says that there is no assembly for this processor.
const haveStitched = false

// stitched is never at work.
type stitched struct{}

func (*stitched) reset([]byte)        {}
func (*stitched) encrypt(_, _ []byte) {}
func (*stitched) handOver(*plain)     {}
