<?php

function notes(): PDO
{
    $notes = new PDO('sqlite:/data/notes.db', options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    $notes->exec('CREATE TABLE IF NOT EXISTS notes (text TEXT NOT NULL)');
    return $notes;
}
