import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.JSchException;
import com.jcraft.jsch.Session;

/** Lists the folder with JSch, or prints why it does not get that far. */
public class JSchClient {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("version")) {
            System.out.println(JSch.VERSION);
            return;
        }
        JSch jsch = new JSch();
        jsch.addIdentity(args[4]);
        Session session = jsch.getSession(args[3], args[1], Integer.parseInt(args[2]));
        session.setConfig("StrictHostKeyChecking", "no");
        try {
            session.connect(20_000);
            ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
            sftp.connect(20_000);
            System.out.println(sftp.ls("/"));
        } catch (JSchException e) {
            System.out.println(e.getMessage());
        } finally {
            session.disconnect();
        }
    }
}
