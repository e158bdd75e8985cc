<?php // Opens an encrypted event: the token from standard input, the webhook's key from VONAL_KEY.

function decrypt(string $token, string $key): array
{
    $parts = explode('.', $token);
    if (count($parts) !== 5) {
        throw new Exception('no token');
    }
    [$header, $wrapped, $iv, $ciphertext, $tag] = $parts;
    $told = json_decode(decoded($header), true);
    if (($told['alg'] ?? '') !== 'dir' || ($told['enc'] ?? '') !== 'A256GCM' || $wrapped !== '') {
        throw new Exception('encrypted in another way');
    }
    $iv = decoded($iv);
    $tag = decoded($tag);
    if (strlen($iv) !== 12 || strlen($tag) !== 16) { // PHP would take a shorter, weaker tag
        throw new Exception('no token');
    }
    $contentKey = hash_hkdf('sha256', $key, 32);
    $raw = OPENSSL_RAW_DATA;
    $plaintext = openssl_decrypt(decoded($ciphertext), 'aes-256-gcm', $contentKey, $raw, $iv, $tag, $header);
    if ($plaintext === false) {
        throw new Exception('another key, or the token was changed');
    }
    return json_decode($plaintext, true, flags: JSON_THROW_ON_ERROR);
}

function decoded(string $text): string
{
    return (string) base64_decode(strtr($text, '-_', '+/'));
}

if (PHP_SAPI === 'cli') {
    try {
        $event = decrypt(trim(stream_get_contents(STDIN)), getenv('VONAL_KEY'));
    } catch (Exception $fault) {
        fwrite(STDERR, "refused: {$fault->getMessage()}\n");
        exit(1);
    }
    echo json_encode($event, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION), "\n";
}
