package statement

import (
	"bufio"
	"fmt"
	"io"
)

// How a PDF is laid out in the file.
//
// A PDF ends with a table of the offset of every object in it (ISO 32000-1
// section 7.5.4). To write that table without having kept an offset for each
// page, objects lie in blocks of a fixed size, filled up with spaces, and an
// offset is a matter of arithmetic:
//
//	header | catalog, info, fonts | page tree | page, content | page, content | …
//
// The page tree has at most fanOut entries in a node, since a flat list of a
// million pages would have to be held in memory by every reader of it.
const (
	headBlock    = 32    // the file's header
	nodeBlock    = 1024  // one of the objects before the pages
	pageDict     = 256   // a page's dictionary
	contentBlock = 18176 // what is on the page: full pages take nearly all of it
	pageBlock    = pageDict + contentBlock

	objCatalog   = 1
	objInfo      = 2
	objFont      = 3
	objBoldFont  = 4
	objFirstNode = 5

	fanOut = 64
)

// maxOffset is the largest offset that a cross-reference entry has room for.
const maxOffset = 9_999_999_999

// PDF writes the statement as a document of A4 pages, at least two of them, set
// in the Helvetica that every reader has. Streams are not compressed.
func PDF(w io.Writer, o Options) error {
	o, err := o.check()
	if err != nil {
		return fmt.Errorf("writing PDF statement: %w", err)
	}
	tables := sections(o, closeLedger(o))
	d := &document{
		out:   bufio.NewWriterSize(w, writeBuffer),
		shape: newShape(countPages(tables)),
		block: make([]byte, 0, contentBlock),
	}
	if err := d.write(o, tables); err != nil {
		return fmt.Errorf("writing PDF statement: %w", err)
	}
	return nil
}

// shape is the arithmetic of a document of a given number of pages.
type shape struct {
	pages  int
	levels []int // nodes of the page tree, from the one root down
	nodes  int   // sum of levels
}

func newShape(pages int) shape {
	s := shape{pages: pages}
	for n := pages; ; {
		n = (n + fanOut - 1) / fanOut
		s.levels = append([]int{n}, s.levels...)
		s.nodes += n
		if n == 1 {
			return s
		}
	}
}

// objects is the number of objects, and the number of the last one.
func (s shape) objects() int { return s.firstPage() - 1 + 2*s.pages }

// firstPage is the object of the first page; its content is the one after it,
// and so on for the pages that follow.
func (s shape) firstPage() int { return objFirstNode + s.nodes }

// offset is where in the file an object begins; that of the object after the
// last is where the cross-reference table does.
func (s shape) offset(object int) int64 {
	if object < s.firstPage() {
		return headBlock + int64(object-1)*nodeBlock
	}
	n := object - s.firstPage()
	at := headBlock + int64(s.firstPage()-1)*nodeBlock + int64(n/2)*pageBlock
	if n%2 == 1 {
		at += pageDict
	}
	return at
}

// document writes the objects of a PDF in the order of their numbers.
type document struct {
	out   *bufio.Writer
	shape shape
	block []byte // the block that is being put together
}

func (d *document) write(o Options, tables []table) error {
	end := d.shape.offset(d.shape.objects() + 1)
	if end > maxOffset {
		return fmt.Errorf("%d rows make %d bytes, and a PDF holds %d", o.Rows, end, int64(maxOffset))
	}
	// The second line says that the file is binary: four bytes above 127.
	if err := d.put(headBlock, "%%PDF-1.4\n%%\xe2\xe3\xcf\xd3\n"); err != nil {
		return err
	}
	if err := d.writeFront(o); err != nil {
		return err
	}
	if err := d.writeTree(); err != nil {
		return err
	}
	if err := writePages(d, o, tables); err != nil {
		return err
	}
	d.writeReferences(end)
	return d.out.Flush()
}

// put writes one block: what is formatted, spaces up to the size, a newline.
func (d *document) put(size int, format string, values ...any) error {
	d.block = fmt.Appendf(d.block[:0], format, values...)
	return d.putBlock(size)
}

func (d *document) putBlock(size int) error {
	if len(d.block) >= size {
		return fmt.Errorf("an object of %d bytes is too large for its block of %d", len(d.block), size)
	}
	for len(d.block) < size-1 {
		d.block = append(d.block, ' ')
	}
	d.block = append(d.block, '\n')
	_, err := d.out.Write(d.block)
	return err
}

// writeFront writes the objects that every document has one of.
func (d *document) writeFront(o Options) error {
	if err := d.put(nodeBlock, "%d 0 obj\n<< /Type /Catalog /Pages %d 0 R >>\nendobj\n",
		objCatalog, objFirstNode); err != nil {
		return err
	}
	title := appendPDFText(nil, []byte(documentTitle+" "+o.Account))
	if err := d.put(nodeBlock, "%d 0 obj\n<< /Title (%s) /Author (%s) /CreationDate (D:%s) >>\nendobj\n",
		objInfo, title, brokerName, o.Date.Format("20060102")); err != nil {
		return err
	}
	for i, name := range []string{"Helvetica", "Helvetica-Bold"} {
		if err := d.put(nodeBlock,
			"%d 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>\nendobj\n",
			objFont+i, name); err != nil {
			return err
		}
	}
	return nil
}

// writeTree writes the page tree level by level. Each node but the last of a
// level is full, so a node's place says which ones are below and above it.
func (d *document) writeTree() error {
	s := d.shape
	first, covers := objFirstNode, 1
	for range s.levels {
		covers *= fanOut
	}
	for level, nodes := range s.levels {
		below, kids, step := first+nodes, s.pages, 2 // a page has two objects
		if level+1 < len(s.levels) {
			kids, step = s.levels[level+1], 1
		}
		for i := range nodes {
			d.block = fmt.Appendf(d.block[:0], "%d 0 obj\n<< /Type /Pages /Count %d",
				first+i, min(covers, s.pages-i*covers))
			if level > 0 {
				d.block = fmt.Appendf(d.block, " /Parent %d 0 R", first-s.levels[level-1]+i/fanOut)
			}
			d.block = append(d.block, " /Kids ["...)
			for k := i * fanOut; k < min((i+1)*fanOut, kids); k++ {
				d.block = fmt.Appendf(d.block, " %d 0 R", below+k*step)
			}
			d.block = append(d.block, " ] >>\nendobj\n"...)
			if err := d.putBlock(nodeBlock); err != nil {
				return err
			}
		}
		first, covers = below, covers/fanOut
	}
	return nil
}

// writePage writes the page of the given number, from 0, and what is on it.
func (d *document) writePage(number int, content []byte) error {
	s := d.shape
	object := s.firstPage() + 2*number
	parent := s.firstPage() - s.levels[len(s.levels)-1] + number/fanOut
	if err := d.put(pageDict, "%d 0 obj\n<< /Type /Page /Parent %d 0 R /MediaBox [ 0 0 %d %d ] /Contents %d 0 R\n"+
		"/Resources << /Font << /%c %d 0 R /%c %d 0 R /%c %d 0 R >> >> >>\nendobj\n",
		object, parent, pageWidth/10, pageHeight/10, object+1,
		plainFont, objFont, boldFont, objBoldFont, titleFont, objBoldFont); err != nil {
		return err
	}
	d.block = fmt.Appendf(d.block[:0], "%d 0 obj\n<< /Length %d >>\nstream\n", object+1, len(content))
	d.block = append(d.block, content...)
	d.block = append(d.block, "\nendstream\nendobj\n"...)
	return d.putBlock(contentBlock)
}

// writeReferences writes the cross-reference table and the trailer. Errors of
// the writer below come to light when it is flushed.
func (d *document) writeReferences(at int64) {
	last := d.shape.objects()
	fmt.Fprintf(d.out, "xref\n0 %d\n0000000000 65535 f \n", last+1)
	for object := 1; object <= last; object++ {
		fmt.Fprintf(d.out, "%010d 00000 n \n", d.shape.offset(object))
	}
	fmt.Fprintf(d.out, "trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n",
		last+1, objCatalog, objInfo, at)
}
